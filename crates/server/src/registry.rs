//! Namespaces by their path.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use sockeye_protocol::NamespacePath;

use crate::adapter::Adapter;
use crate::config::Config;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::namespace::Namespace;

/// The namespaces of a server. `/` is always there.
#[derive(Debug)]
pub(crate) struct Registry {
    namespaces: RwLock<HashMap<NamespacePath, Namespace>>,
    main: Namespace,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    adapter: Arc<dyn Adapter>,
}

impl Registry {
    pub(crate) fn new(config: Arc<Config>, metrics: Arc<Metrics>, adapter: Arc<dyn Adapter>) -> Self {
        let path = NamespacePath::main();
        let hub = Hub::new(path.clone(), Arc::clone(&config), Arc::clone(&metrics), Arc::clone(&adapter));
        let main = Namespace::new(hub);
        let namespaces = RwLock::new(HashMap::from_iter([(path, main.clone())]));
        Self { namespaces, main, config, metrics, adapter }
    }

    pub(crate) fn main(&self) -> &Namespace {
        &self.main
    }

    pub(crate) fn get(&self, path: &NamespacePath) -> Option<Namespace> {
        if path.is_main() { Some(self.main.clone()) } else { self.namespaces.read().get(path).cloned() }
    }

    pub(crate) fn get_or_create(&self, path: NamespacePath) -> Namespace {
        if let Some(found) = self.get(&path) {
            return found;
        }
        let mut namespaces = self.namespaces.write();
        let make = |path: &NamespacePath| {
            let (config, metrics) = (Arc::clone(&self.config), Arc::clone(&self.metrics));
            Namespace::new(Hub::new(path.clone(), config, metrics, Arc::clone(&self.adapter)))
        };
        namespaces.entry(path).or_insert_with_key(make).clone()
    }

    pub(crate) fn all(&self) -> Vec<Namespace> {
        self.namespaces.read().values().cloned().collect()
    }
}

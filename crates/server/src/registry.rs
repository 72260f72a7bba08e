//! Namespaces by their path: those the application has named, and those made on demand.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::RwLock;
use sockeye_protocol::NamespacePath;

use crate::adapter::Adapter;
use crate::config::Config;
use crate::handlers::Handlers;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::namespace::{Lifetime, Namespace, Visit};
use crate::pattern::Pattern;
use crate::peer::Peer;

/// Decides whether a namespace that nobody has named comes into being.
pub(crate) type Decide = Arc<dyn Fn(String, Peer) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Which namespaces a parent makes.
pub(crate) enum Rule {
    Pattern(Pattern),
    Function(Decide),
}

/// What namespaces made on demand have in common.
pub(crate) struct Parent {
    rule: Rule,
    pub(crate) handlers: Arc<Handlers>,
}

/// The namespaces of a server. `/` is always there.
pub(crate) struct Registry {
    namespaces: RwLock<HashMap<NamespacePath, Namespace>>,
    parents: RwLock<Arc<Vec<Arc<Parent>>>>,
    main: Namespace,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    adapter: Arc<dyn Adapter>,
    itself: Weak<Registry>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("namespaces", &self.namespaces.read().len()).finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn new(config: Arc<Config>, metrics: Arc<Metrics>, adapter: Arc<dyn Adapter>) -> Arc<Self> {
        Arc::new_cyclic(|itself| {
            let handlers = Arc::new(Handlers::default());
            let hub = Hub::new(
                NamespacePath::main(),
                Arc::clone(&config),
                Arc::clone(&metrics),
                Arc::clone(&adapter),
                Arc::clone(&handlers.watchers),
                Arc::clone(&handlers.when_full),
            );
            let main = Namespace::new(hub, handlers, Lifetime::Pinned);
            let namespaces = RwLock::new(HashMap::from_iter([(NamespacePath::main(), main.clone())]));
            Self { namespaces, parents: RwLock::default(), main, config, metrics, adapter, itself: itself.clone() }
        })
    }

    pub(crate) fn main(&self) -> &Namespace {
        &self.main
    }

    /// The namespace, for somebody who asks to be let in.
    pub(crate) fn visit(&self, path: &NamespacePath) -> Option<Visit> {
        if path.is_main() { Some(self.main.visit()) } else { self.namespaces.read().get(path).map(Namespace::visit) }
    }

    /// The namespace, made if need be, to live as long as the server.
    pub(crate) fn pin(&self, path: NamespacePath) -> Namespace {
        let mut namespaces = self.namespaces.write();
        let make = |path: &NamespacePath| self.make(path, Arc::default(), Lifetime::Pinned);
        namespaces.entry(path).or_insert_with_key(make).clone()
    }

    pub(crate) fn add_parent(&self, rule: Rule) -> Arc<Parent> {
        let parent = Arc::new(Parent { rule, handlers: Arc::default() });
        Arc::make_mut(&mut self.parents.write()).push(Arc::clone(&parent));
        parent
    }

    pub(crate) fn has_parents(&self) -> bool {
        !self.parents.read().is_empty()
    }

    /// Asks the parents, in the order in which they were registered, for a namespace that is not there.
    pub(crate) async fn make_on_demand(self: Arc<Self>, path: NamespacePath, peer: Peer) -> Option<Visit> {
        let parents = Arc::clone(&self.parents.read());
        for parent in parents.iter() {
            let wanted = match &parent.rule {
                Rule::Pattern(pattern) => pattern.matches(path.as_str()),
                Rule::Function(decide) => decide(path.as_str().to_owned(), peer.clone()).await,
            };
            if wanted {
                return Some(self.child(path, parent));
            }
        }
        None
    }

    fn child(&self, path: NamespacePath, parent: &Parent) -> Visit {
        let mut namespaces = self.namespaces.write();
        let make = |path: &NamespacePath| {
            let registry = self.itself.clone();
            let leave = Box::new(move |namespace: &Namespace| {
                if let Some(registry) = registry.upgrade() {
                    registry.free(namespace);
                }
            });
            let lifetime = Lifetime::Visited { visitors: AtomicUsize::new(0), leave };
            self.make(path, Arc::clone(&parent.handlers), lifetime)
        };
        namespaces.entry(path).or_insert_with_key(make).visit()
    }

    fn make(&self, path: &NamespacePath, handlers: Arc<Handlers>, lifetime: Lifetime) -> Namespace {
        let hub = Hub::new(
            path.clone(),
            Arc::clone(&self.config),
            Arc::clone(&self.metrics),
            Arc::clone(&self.adapter),
            Arc::clone(&handlers.watchers),
            Arc::clone(&handlers.when_full),
        );
        Namespace::new(hub, handlers, lifetime)
    }

    /// Removes a namespace made on demand, unless somebody has come in meanwhile.
    fn free(&self, namespace: &Namespace) {
        let mut namespaces = self.namespaces.write();
        let path = &namespace.hub().path;
        if namespace.is_deserted() && namespaces.get(path).is_some_and(|found| found.is(namespace)) {
            namespaces.remove(path);
        }
    }

    pub(crate) fn all(&self) -> Vec<Namespace> {
        self.namespaces.read().values().cloned().collect()
    }

    /// The namespaces that a parent has made and that are not empty.
    pub(crate) fn children(&self, parent: &Parent) -> Vec<Namespace> {
        let of_parent = |namespace: &&Namespace| Arc::ptr_eq(namespace.handlers(), &parent.handlers);
        self.namespaces.read().values().filter(of_parent).cloned().collect()
    }
}

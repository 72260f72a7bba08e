//! What a connection begins with, and its end if nobody waits for it.

use std::sync::Arc;

use crate::config::Config;
use crate::error::ConfigError;
use crate::link::{Client, Link};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// The connection of a client.
#[derive(Debug)]
pub(crate) enum Target {
    /// One which others use too.
    Existing(Arc<Link>),
    /// Its own.
    New(Box<New>),
}

#[derive(Debug)]
pub(crate) struct New {
    pub(crate) config: Config,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
}

impl New {
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "for the feature"))]
    pub(crate) fn finish(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        config.validate()?;
        #[cfg(feature = "tls")]
        if config.address.secure {
            config.dial.tls = Some(self.tls.connector(&config.address.host)?);
        }
        #[cfg(not(feature = "tls"))]
        if config.address.secure {
            return Err(ConfigError::new("https and wss need the feature `tls`"));
        }
        Ok(config)
    }
}

/// Disconnects a client whose first connection was not waited for.
pub(crate) struct Guard(pub(crate) Option<Client>);

impl Guard {
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(client.disconnect());
        }
    }
}

//! The client for browsers, served from memory.                                [JS socket.io 4.8 index.ts attachServe]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use bytes::Bytes;
use http::HeaderValue;

use crate::encoding::Encoding;
use crate::error::ConfigError;

/// The files of the client, as they were when the server was built.
#[derive(Debug)]
pub(crate) struct Bundle(Vec<File>);

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    name: &'static str,
    pub(crate) content: Bytes,
    pub(crate) gzip: Option<Bytes>,
    /// Of the content, whatever its encoding.
    pub(crate) etag: HeaderValue,
}

impl Bundle {
    /// Reads those of the known files that are in `folder`; nothing else in it can ever be asked for.
    pub(crate) fn load(folder: &Path) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        for name in NAMES {
            match std::fs::read(folder.join(name)) {
                Ok(content) => files.push(File::new(name, content)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(ConfigError::new(format!("serve_client: {name} in {}: {error}", folder.display())));
                }
            }
        }
        if files.is_empty() {
            return Err(ConfigError::new(format!(
                "serve_client: there is no client in {}: name the folder client-dist of the npm package socket.io",
                folder.display()
            )));
        }
        Ok(Self(files))
    }

    /// The file at the end of a path.
    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        let name = path.rsplit('/').next()?;
        self.0.iter().find(|file| file.name == name)
    }
}

impl File {
    fn new(name: &'static str, content: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        let etag = HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""));
        Self { name, gzip: Encoding::Gzip.compress(&content, 9), content: content.into(), etag }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        let is_map = Path::new(self.name).extension().is_some_and(|extension| extension == "map");
        if is_map { "application/json; charset=utf-8" } else { "application/javascript; charset=utf-8" }
    }

    /// Whether what the client has, as it says in `If-None-Match`, is this file. [RFC 9110 §13.1.2]
    pub(crate) fn is_known(&self, if_none_match: &str) -> bool {
        let own = self.etag.to_str().unwrap_or("").trim_start_matches("W/");
        if_none_match.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == own)
    }
}

const NAMES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

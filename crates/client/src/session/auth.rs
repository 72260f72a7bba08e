//! What CONNECT carries in revision 3.

use sockeye_protocol::NamespacePath;

use crate::address;
use crate::error::ConfigError;

/// What a namespace is asked for with in revision 3.
pub(super) fn auth_query(path: &NamespacePath, auth: Option<serde_json::Value>) -> Result<String, ConfigError> {
    let mut query = String::new();
    let Some(auth) = auth.filter(|auth| !auth.is_null()) else { return Ok(query) };
    if path.is_main() {
        return Err(ConfigError::new("auth: servers of Socket.IO 2.x know none for `/`; give the client a query"));
    }
    let serde_json::Value::Object(fields) = auth else {
        return Err(ConfigError::new("auth must be an object"));
    };
    for (name, value) in fields {
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
            _ => return Err(ConfigError::new(format!("auth: {name:?} cannot be put into a query"))),
        };
        address::append(&mut query, &name, &text);
    }
    Ok(query)
}

//! What the examples have in common; and the code in the documentation, compiled and run as tests.

pub mod events;
pub mod lines;

use std::io;

use tokio::net::TcpListener;

/// A listener on the port that the command line names, or on 3000; says where it is. Port 0 takes a free one.
///
/// # Errors
/// When the argument is no port, or the port cannot be listened on.
pub async fn listener() -> io::Result<TcpListener> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "3000".into());
    let port: u16 = port.parse().map_err(|_| io::Error::other(format!("{port:?} is not a port")))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Declares one item for each page, so that its examples are documentation tests.
macro_rules! pages {
    ($($page:ident: $path:literal),* $(,)?) => {
        /// The pages of the documentation.
        #[cfg(doctest)]
        pub mod pages { $(#[doc = include_str!($path)] pub struct $page;)* }
    };
}

pages! {
    Readme: "../README.md",
    Architecture: "../ARCHITECTURE.md",
    Acknowledgements: "../docs/acknowledgements.md",
    Binary: "../docs/binary.md",
    Client: "../docs/client.md",
    Delivery: "../docs/delivery.md",
    EmitCheatsheet: "../docs/emit-cheatsheet.md",
    FromSocketioxide: "../docs/from-socketioxide.md",
    GettingStarted: "../docs/getting-started.md",
    Limits: "../docs/limits.md",
    MiddlewareAndAuth: "../docs/middleware-and-auth.md",
    Namespaces: "../docs/namespaces.md",
    Operations: "../docs/operations.md",
    Parsers: "../docs/parsers.md",
    Recovery: "../docs/recovery.md",
    Rooms: "../docs/rooms.md",
    TypedEvents: "../docs/typed-events.md",
}

//! Event names with the types of what they carry.

use std::fmt;
use std::marker::PhantomData;

/// An event's name together with the types of its arguments and of its reply.
///
/// A constant of this type serves wherever a `&str` does; with it handlers need no annotations and emits are checked.
/// Put such constants into a crate which both ends use.
///
/// ```
/// use sockeye_protocol::event::Event;
///
/// const CHAT: Event<String> = Event::new("chat message");
/// const SUM: Event<(u32, u32), u32> = Event::new("sum");
/// assert_eq!(CHAT.name(), "chat message");
/// ```
///
/// A reserved name does not compile:
///
/// ```compile_fail
/// const BAD: sockeye_protocol::event::Event<()> = sockeye_protocol::event::Event::new("disconnect");
/// ```
pub struct Event<Args, Reply = ()> {
    name: &'static str,
    types: PhantomData<fn() -> (Args, Reply)>,
}

/// Names that the protocol or the JS implementations keep for themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether applications may not use `name` for an event.
pub const fn is_reserved(name: &str) -> bool {
    let mut reserved: &[&str] = &RESERVED;
    while let [first, rest @ ..] = reserved {
        if same(name.as_bytes(), first.as_bytes()) {
            return true;
        }
        reserved = rest;
    }
    false
}

#[expect(clippy::indexing_slicing, reason = "const fn; both indices are below the common length")]
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

impl<Args, Reply> Event<Args, Reply> {
    /// Names an event. Fails to compile in a constant if the name is reserved.
    ///
    /// # Panics
    /// When called at run time with a reserved name (`connect`, `connect_error`, `disconnect`, `disconnecting`,
    /// `newListener`, `removeListener`).
    pub const fn new(name: &'static str) -> Self {
        assert!(!is_reserved(name), "this event name is reserved by the protocol");
        Self { name, types: PhantomData }
    }

    /// The name as it travels.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<Args, Reply> Copy for Event<Args, Reply> {}

impl<Args, Reply> Clone for Event<Args, Reply> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args, Reply> fmt::Debug for Event<Args, Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?})", self.name)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl<A, R> Sealed for super::Event<A, R> {}
}

/// What names an incoming event: a string (any arguments) or an [`Event`] (exactly its arguments).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an incoming event whose arguments are `{A}`",
    note = "pass a string, or an `Event<Args, Reply>` constant whose types match the handler"
)]
pub trait Listen<A>: sealed::Sealed {
    /// The name as it travels.
    fn name(&self) -> &str;
}

/// What names an incoming event that is answered.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an incoming event with arguments `{A}` and reply `{R}`",
    note = "pass a string, or an `Event<Args, Reply>` constant whose types match the handler"
)]
pub trait Answer<A, R>: sealed::Sealed {
    /// The name as it travels.
    fn name(&self) -> &str;
}

/// What names an outgoing event.
#[diagnostic::on_unimplemented(message = "event `{Self}` does not carry arguments of type `{A}`")]
pub trait Emit<A: ?Sized>: sealed::Sealed {
    /// The name as it travels.
    fn name(&self) -> &str;
}

/// What names an outgoing event that is answered.
#[diagnostic::on_unimplemented(message = "event `{Self}` does not carry arguments of type `{A}` answered by `{R}`")]
pub trait Ask<A: ?Sized, R>: sealed::Sealed {
    /// The name as it travels.
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($name:ty),*) => { $(
        impl<A> Listen<A> for $name { fn name(&self) -> &str { self } }
        impl<A, R> Answer<A, R> for $name { fn name(&self) -> &str { self } }
        impl<A: ?Sized> Emit<A> for $name { fn name(&self) -> &str { self } }
        impl<A: ?Sized, R> Ask<A, R> for $name { fn name(&self) -> &str { self } }
    )* };
}
named!(&str, &String);

impl<A, R> Listen<A> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<A, R> Answer<A, R> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<A, R> Emit<A> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<A, R> Emit<&A> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<A, R> Ask<A, R> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<A, R> Ask<&A, R> for Event<A, R> {
    fn name(&self) -> &str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::is_reserved;

    #[test]
    fn reserved_names() {
        for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["", "message", "error", "connected", "Connect", "disconnect "] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}

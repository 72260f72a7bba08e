//! Names of rooms, given in whatever form is at hand.

use smol_str::SmolStr;

/// One room or several: a string, an array, a slice or a vector of strings.
#[diagnostic::on_unimplemented(message = "`{Self}` does not name rooms", note = "pass a string or a list of strings")]
pub trait Rooms: sealed::Sealed {
    /// The names.
    fn into_rooms(self) -> Vec<SmolStr>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! one {
    ($($one:ty),*) => { $(
        impl sealed::Sealed for $one {}
        impl Rooms for $one { fn into_rooms(self) -> Vec<SmolStr> { vec![SmolStr::from(self)] } }
    )* };
}

macro_rules! many {
    ($([$($generics:tt)*] $many:ty),*) => { $(
        impl<$($generics)*> sealed::Sealed for $many {}
        impl<$($generics)*> Rooms for $many {
            fn into_rooms(self) -> Vec<SmolStr> { self.iter().map(|room| SmolStr::new(room)).collect() }
        }
    )* };
}

one!(&str, String, &String, SmolStr);
many!([const N: usize] [&str; N], [const N: usize] [String; N], ['a] &'a [&'a str], ['a] &'a [String], [] Vec<String>);

impl sealed::Sealed for &SmolStr {}
impl Rooms for &SmolStr {
    fn into_rooms(self) -> Vec<SmolStr> {
        vec![self.clone()]
    }
}
impl sealed::Sealed for Vec<&str> {}
impl Rooms for Vec<&str> {
    fn into_rooms(self) -> Vec<SmolStr> {
        self.into_iter().map(SmolStr::from).collect()
    }
}
impl sealed::Sealed for Vec<SmolStr> {}
impl Rooms for Vec<SmolStr> {
    fn into_rooms(self) -> Vec<SmolStr> {
        self
    }
}

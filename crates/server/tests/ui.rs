//! Mistakes in programs that use this crate: they do not compile, and the compiler says what is wrong.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

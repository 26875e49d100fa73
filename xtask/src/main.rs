//! What developers and CI run: `cargo xtask`.

fn main() {}

//! The `otaru` command.

fn main() {}

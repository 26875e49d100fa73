//! The device and the client are killed in an update: whatever is left on flash boots, and the repeated update ends well.
//! `cargo xtask kill` kills at more moments.

use otaru_e2e::kill::Sweep;

#[test]
fn killed_anywhere_in_an_update_then_it_boots_and_the_repeated_update_is_confirmed() {
    let sweep = Sweep::prepare().unwrap();
    let verdicts = sweep.run(&Sweep::cases(2), |_| {});
    assert_eq!(verdicts.len(), 6);
    let failed: Vec<String> = verdicts.iter().filter(|verdict| !verdict.held()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

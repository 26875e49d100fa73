use super::*;
use crate::file::{FileError, FileProblem};
use crate::test_support::ed25519;
use otaru_layout::Slot;

/// Key hash of [`ed25519`].
const HASH: &str = "9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4";

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with a project file and a key.
    fn new(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        std::fs::write(folder.path().join("signing.pem"), ed25519().to_pem().unwrap()).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn project(&self) -> Project {
        Project::load(self.path()).unwrap()
    }

    /// The error's words without the folder, which differs from run to run.
    fn said<T>(&self, result: Result<T, impl std::fmt::Display>) -> String {
        let Err(error) = result else { panic!("must be refused") };
        error.to_string().replace(&self.path().display().to_string(), "DIR")
    }
}

#[test]
fn a_new_project_is_whole_and_signs() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a \"lock\"");
    let created = create(&place, ed25519()).unwrap();
    assert!(created.files.iter().all(|file| file.is_file()));
    let project = Project::load(&place).unwrap();
    assert_eq!(project.name(), Some("a \"lock\""));
    assert_eq!(project.profile(), Profile::Development);
    assert_eq!(project.signing_key().unwrap().public(), created.key.public());
    assert_eq!(project.verifying_key().unwrap(), *created.key.public());
    assert_eq!(project.header_size(), 0x200);
    let (name, layout) = project.layout(None).unwrap();
    assert_eq!((name.as_str(), layout), ("nrf52840dk", built_in("nrf52840dk").unwrap()));
    assert_eq!(layout.area(Slot::Secondary).offset, 0x82000);
    assert_eq!(layout.max_image_size(), 0x74000);
    let text = std::fs::read_to_string(place.join(FILE_NAME)).unwrap();
    let pinned = text.replace("# pinned", "pinned");
    assert!(pinned.contains(HASH));
    std::fs::write(place.join(FILE_NAME), pinned).unwrap();
    assert!(Project::load(&place).unwrap().signing_key().is_ok());
    assert_eq!(Project::find(&place.join("src/deep")), Some(place.join(FILE_NAME)));
}

#[test]
fn a_new_project_never_overwrites() {
    for existing in ["otaru.toml", "keys/signing.pem", "keys/.gitignore"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(existing);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "mine").unwrap();
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let error = create(folder.path(), ed25519()).unwrap_err();
        assert!(matches!(error, CreateError::File(FileError { problem: FileProblem::Exists, .. })));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before, "nothing is left behind");
    }
}

#[test]
fn paths_resolve_against_the_file_that_holds_them() {
    let (folder, home) = (Path::new("/projects/lock"), Some(Path::new("/home/me")));
    for (written, resolved) in [
        ("keys/a.pem", "/projects/lock/keys/a.pem"),
        ("/etc/a.pem", "/etc/a.pem"),
        ("~/a.pem", "/home/me/a.pem"),
        ("~", "/home/me"),
        ("~you/a.pem", "/projects/lock/~you/a.pem"),
    ] {
        assert_eq!(resolve(folder, written, home), Path::new(resolved), "{written}");
    }
    assert_eq!(resolve(folder, "~/a.pem", None), Path::new("/projects/lock/~/a.pem"));
}

#[test]
fn a_key_that_cannot_be_used_is_said_with_where_it_was_looked_for() {
    let missing = Folder::new("[keys]\nsigning = \"keys/gone.pem\"\n");
    insta::assert_snapshot!(missing.said(missing.project().signing_key()), @r#"cannot read the key DIR/keys/gone.pem: No such file or directory (os error 2) (keys.signing = "keys/gone.pem" in DIR/otaru.toml)"#);
    let unnamed = Folder::new("");
    insta::assert_snapshot!(unnamed.said(unnamed.project().signing_key()), @r#"DIR/otaru.toml names no signing key: [keys] signing = "keys/signing.pem""#);
    let damaged = Folder::new("[keys]\nsigning = \"otaru.toml\"\n");
    insta::assert_snapshot!(damaged.said(damaged.project().signing_key()), @r#"DIR/otaru.toml: no line says -----BEGIN …-----, so this is no PEM file (2 lines) (keys.signing = "otaru.toml" in DIR/otaru.toml)"#);
    let public = Folder::new("[keys]\nsigning = \"signing.pub.pem\"\n");
    std::fs::write(public.path().join("signing.pub.pem"), ed25519().public().to_pem()).unwrap();
    insta::assert_snapshot!(public.said(public.project().signing_key()), @r#"DIR/signing.pub.pem: line 1: the file holds only a public key; signing needs the private key it belongs to (keys.signing = "signing.pub.pem" in DIR/otaru.toml)"#);
    assert!(public.project().verifying_key().is_ok());
}

#[test]
fn only_the_pinned_key_signs() {
    let pinned =
        Folder::new(&format!("[keys]\nsigning = \"signing.pem\"\npinned = \"sha256:{}\"\n", HASH.to_uppercase()));
    assert!(pinned.project().signing_key().is_ok());
    let other = Folder::new(&format!("[keys]\nsigning = \"signing.pem\"\npinned = \"sha256:{}\"\n", "00".repeat(32)));
    insta::assert_snapshot!(other.said(other.project().signing_key()), @"the ed25519 signing key is 9a82517f9af19416d98fdbcf193726b3a95c0b6fec1d51884bf3e1b739ba2ef4, but DIR/otaru.toml pins 0000000000000000000000000000000000000000000000000000000000000000");
    assert!(other.project().verifying_key().is_err());
    let malformed = Folder::new("[keys]\nsigning = \"signing.pem\"\npinned = \"9a82\"\n");
    insta::assert_snapshot!(malformed.said(malformed.project().signing_key()), @r#"keys.pinned in DIR/otaru.toml is "9a82", not "sha256:" and 64 hexadecimal digits"#);
}

#[test]
fn what_no_project_has_is_refused_with_its_place() {
    let refused = |text: &str| {
        let folder = Folder::new(text);
        folder.said(Project::load(folder.path()))
    };
    insta::assert_snapshot!(refused("[keys]\nsigning = signing.pem\n"), @"DIR/otaru.toml, line 2, column 11: string values must be quoted, expected literal string");
    insta::assert_snapshot!(refused("[keys]\nsignign = \"signing.pem\"\n"), @"DIR/otaru.toml, line 2, column 1: unknown field `signign`, expected one of `signing`, `encryption`, `pinned`");
    insta::assert_snapshot!(refused("[project]\nprofile = \"release\"\n"), @"DIR/otaru.toml, line 2, column 11: unknown variant `release`, expected `development` or `production`");
    insta::assert_snapshot!(refused("[image]\nheader-size = 0x10000\n"), @"DIR/otaru.toml, line 2, column 15: invalid value: integer `65536`, expected u16");
    let nowhere = tempfile::tempdir().unwrap();
    let folder = Folder(nowhere);
    insta::assert_snapshot!(folder.said(Project::load(folder.path())), @"cannot read the project file DIR/otaru.toml: No such file or directory (os error 2)");
}

#[test]
fn layouts_are_chosen_by_name_and_checked() {
    let (_, lines) = BOARDS[0];
    let one = Folder::new(&format!("[layout.a]\n{lines}"));
    assert_eq!(one.project().layout(None).unwrap().0, "a", "the only one");
    insta::assert_snapshot!(one.said(one.project().layout(Some("b"))), @r#"DIR/otaru.toml has no layout "b"; it has: a"#);
    let two = Folder::new(&format!("[layout.a]\n{lines}[layout.b]\n{lines}"));
    insta::assert_snapshot!(two.said(two.project().layout(None)), @r#"DIR/otaru.toml does not say which layout images are for ([image] layout = "…"); it has: a, b"#);
    assert_eq!(two.project().layout(Some("b")).unwrap().0, "b");
    let refused = |from: &str, to: &str| {
        let changed = lines.replace(from, to);
        assert_ne!(changed, lines);
        let folder = Folder::new(&format!("[layout.a]\n{changed}"));
        folder.said(folder.project().layout(None))
    };
    insta::assert_snapshot!(refused("swap-move", "swap-scratch"), @r#"[layout.a] in DIR/otaru.toml: mode = "swap-scratch" is not known; the one there is so far is "swap-move""#);
    insta::assert_snapshot!(refused("write-size = 4", "write-size = 3"), @"[layout.a] in DIR/otaru.toml: write-size = 3 is no power of two up to 32");
    insta::assert_snapshot!(refused("0xff", "0x7f"), @"[layout.a] in DIR/otaru.toml: erased-value = 0x7f is neither 0xff nor 0x00");
    insta::assert_snapshot!(refused("4096", "0"), @"[layout.a] in DIR/otaru.toml: sectors = [ … ] with 1 runs describes no flash: at most 8 runs, sizes that are multiples of the write size, together less than 4 GiB");
    insta::assert_snapshot!(refused("count = 256", "count = 128"), @"[layout.a] in DIR/otaru.toml: the primary slot of 0x76000 bytes at 0xc000 does not fit its device, which has 0x80000 bytes");
    insta::assert_snapshot!(refused("0x82000", "0x81000"), @"[layout.a] in DIR/otaru.toml: the slots overlap: primary 0xc000 and secondary 0x81000 on device 0");
    assert_eq!(built_in("unknown"), None);
}

#[test]
fn a_published_key_is_refused_in_production_only() {
    let production = Folder::new("[project]\nprofile = \"production\"\n");
    assert!(production.project().check_published(None).is_ok());
    insta::assert_snapshot!(production.said(production.project().check_published(Some("somebody's test key"))), @r#"the signing key is somebody's test key: its private half is public, and DIR/otaru.toml has profile = "production""#);
    assert!(Folder::new("").project().check_published(Some("somebody's test key")).is_ok());
}

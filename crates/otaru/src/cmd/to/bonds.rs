//! What this client remembers between runs: who it is, and the bonds it has.

use crate::failure::{Exit, Failure};
use otaru_ble::{Address, BondRecord, BondStore};
use otaru_sign::file::{Access, Existing, FileError, FileProblem, write};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The client's state: one file in one folder. It is written whole at every change, and read again before that, under a
/// lock: two commands may run at once.
#[derive(Debug)]
pub(super) struct ClientState {
    file: PathBuf,
    contents: RefCell<Contents>,
}

/// The file, format 1.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    format: u32,
    /// Static random address, most significant byte first.
    #[serde(with = "hex::serde")]
    identity: [u8; 6],
    /// `BondRecord::to_bytes`, oldest first.
    bonds: Vec<String>,
}

/// Without the keys.
impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contents({} bonds)", self.bonds.len())
    }
}

impl ClientState {
    /// The state in `folder`, or in the user's state folder; a fresh identity where there is none yet.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = folder.map(Path::to_owned).or_else(default_folder).ok_or_else(|| {
            let message = "there is no home folder to keep this client's identity in";
            Failure::new(Exit::Usage, "state.no-folder", message, "give one with --state DIR")
        })?;
        let file = folder.join("client.json");
        std::fs::create_dir_all(&folder).map_err(|error| unusable(&file, &error.to_string()))?;
        let _lock = lock(&file).map_err(|error| unusable(&file, &error.to_string()))?;
        let contents = match std::fs::read(&file) {
            Ok(bytes) => parse(&bytes).map_err(|why| unusable(&file, &why))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let fresh = Contents { format: FORMAT, identity: fresh_identity()?, bonds: Vec::new() };
                store(&file, &fresh).map_err(|error| unusable(&file, &error.problem.to_string()))?;
                fresh
            }
            Err(error) => return Err(unusable(&file, &error.to_string())),
        };
        Ok(Self { file, contents: RefCell::new(contents) })
    }

    /// The address this client has towards all devices.
    pub(super) fn identity(&self) -> Address {
        Address::random_static(self.contents.borrow().identity)
    }

    /// Replaces the bond with `peer`, in the file first: what could not be stored is not believed.
    fn replace(&self, peer: &Address, bond: Option<&BondRecord>) -> Result<(), FileError> {
        let failed = |error| FileError { path: self.file.clone(), problem: FileProblem::Write(error) };
        let _lock = lock(&self.file).map_err(failed)?;
        let mut contents = self.contents.borrow().clone();
        // What another command has stored since counts. A file that somebody damaged meanwhile is written anew.
        if let Some(now) = std::fs::read(&self.file).ok().and_then(|bytes| parse(&bytes).ok()) {
            contents = now;
        }
        contents.bonds.retain(|bond| record(bond).is_some_and(|record| record.peer != *peer));
        contents.bonds.extend(bond.map(|bond| hex::encode(bond.to_bytes())));
        store(&self.file, &contents)?;
        self.contents.borrow_mut().bonds = contents.bonds;
        Ok(())
    }
}

impl BondStore for ClientState {
    type Error = FileError;

    async fn load(&self, each: &mut dyn FnMut(BondRecord)) -> Result<(), FileError> {
        self.contents.borrow().bonds.iter().filter_map(|bond| record(bond)).for_each(each);
        Ok(())
    }

    async fn save(&self, bond: &BondRecord) -> Result<(), FileError> {
        self.replace(&bond.peer, Some(bond))
    }

    async fn remove(&self, peer: &Address) -> Result<(), FileError> {
        self.replace(peer, None)
    }
}

fn record(bond: &str) -> Option<BondRecord> {
    let mut bytes = [0; BondRecord::SIZE];
    hex::decode_to_slice(bond, &mut bytes).ok()?;
    BondRecord::from_bytes(&bytes).ok()
}

fn parse(bytes: &[u8]) -> Result<Contents, String> {
    let contents: Contents = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if contents.format != FORMAT {
        return Err(format!("it has format {}, this otaru knows {FORMAT}", contents.format));
    }
    match contents.bonds.iter().position(|bond| record(bond).is_none()) {
        Some(at) => Err(format!("bonds[{at}] is no stored bond")),
        None => Ok(contents),
    }
}

/// Keeps other commands from changing the state until the answer is dropped.
fn lock(file: &Path) -> std::io::Result<std::fs::File> {
    let lock = std::fs::File::options().create(true).truncate(false).write(true).open(file.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Keys are in it: it is its owner's alone.
fn store(file: &Path, contents: &Contents) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(contents).unwrap_or_default();
    write(file, &text, Access::Owner, Existing::Replace)
}

fn fresh_identity() -> Result<[u8; 6], Failure> {
    let mut identity = [0; 6];
    getrandom::fill(&mut identity).map_err(|error| {
        let message = format!("the operating system gives no random numbers: {error}");
        Failure::new(Exit::Defect, "state.random", message, "")
    })?;
    Ok(Address::random_static(identity).bytes())
}

fn default_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("otaru"))
}

fn unusable(file: &Path, why: &str) -> Failure {
    let message = format!("{}: the client's identity and bonds cannot be kept here: {why}", file.display());
    Failure::new(
        Exit::Usage,
        "state.unusable",
        message,
        "repair or remove the file (devices then have to be paired again), or give another folder with --state DIR",
    )
}

const FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_ble::Security;
    use otaru_sim_rt::ClockMode;

    fn bond(n: u8) -> BondRecord {
        let peer = Address::random_static([n; 6]);
        BondRecord { peer, irk: None, ltk: [n; 16], security: Security::Authenticated }
    }

    fn bonds(state: &ClientState) -> Vec<BondRecord> {
        let mut bonds = Vec::new();
        otaru_sim_rt::run(ClockMode::Virtual, state.load(&mut |bond| bonds.push(bond))).unwrap();
        bonds
    }

    #[test]
    fn identity_and_bonds_are_there_again_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let state = ClientState::open(Some(&folder.path().join("new"))).unwrap();
        otaru_sim_rt::run(ClockMode::Virtual, async {
            state.save(&bond(1)).await.unwrap();
            state.save(&bond(2)).await.unwrap();
            state.save(&BondRecord { ltk: [9; 16], ..bond(1) }).await.unwrap();
            state.remove(&bond(2).peer).await.unwrap();
        });
        let again = ClientState::open(Some(&folder.path().join("new"))).unwrap();
        assert_eq!(again.identity(), state.identity());
        assert_eq!(bonds(&again), [BondRecord { ltk: [9; 16], ..bond(1) }]);
    }

    #[test]
    fn two_commands_at_once_lose_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = [1, 2].map(|_| ClientState::open(Some(folder.path())).unwrap());
        assert_eq!(one.identity(), two.identity());
        otaru_sim_rt::run(ClockMode::Virtual, async {
            one.save(&bond(1)).await.unwrap();
            two.save(&bond(2)).await.unwrap();
            one.remove(&bond(3).peer).await.unwrap();
        });
        assert_eq!(bonds(&ClientState::open(Some(folder.path())).unwrap()), [bond(1), bond(2)]);
        assert_eq!(format!("{:?}", one.contents.borrow()), "Contents(2 bonds)");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let state = ClientState::open(Some(folder.path())).unwrap();
        assert_eq!(std::fs::metadata(&state.file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn damaged_file_then_it_is_kept_and_the_way_out_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.json");
        let mut said = String::new();
        for text in [
            "{",
            r#"{"format":2,"identity":"c00102030405","bonds":[]}"#,
            r#"{"format":1,"identity":"c00102030405","bonds":["00"]}"#,
        ] {
            std::fs::write(&file, text).unwrap();
            let failure = ClientState::open(Some(folder.path())).unwrap_err();
            said += &format!("{failure}\n").replace(&folder.path().display().to_string(), "DIR");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        insta::assert_snapshot!(said, @r"
        error: DIR/client.json: the client's identity and bonds cannot be kept here: EOF while parsing an object at line 1 column 1
         next: repair or remove the file (devices then have to be paired again), or give another folder with --state DIR
         code: state.unusable (exit status 2)
        error: DIR/client.json: the client's identity and bonds cannot be kept here: it has format 2, this otaru knows 1
         next: repair or remove the file (devices then have to be paired again), or give another folder with --state DIR
         code: state.unusable (exit status 2)
        error: DIR/client.json: the client's identity and bonds cannot be kept here: bonds[0] is no stored bond
         next: repair or remove the file (devices then have to be paired again), or give another folder with --state DIR
         code: state.unusable (exit status 2)
        ");
    }
}

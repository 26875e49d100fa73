//! Where a virtual device keeps its bonds: in memory, or in a file beside its flash.
//!
//! A chip keeps them in a settings partition; here they stay out of the flash file, so that its bytes are exactly what
//! loader and slots use. The file is a sequence of records as [`BondRecord::to_bytes`] writes them, oldest first. It is
//! replaced as a whole by renaming a finished copy over it: a kill leaves the old bonds or the new ones. It holds keys:
//! only its owner may read it.

use otaru_ble::{Address, BondRecord, BondStore};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A device's bonds. Outlives its resets.
#[derive(Debug, Default)]
pub struct Bonds {
    records: RefCell<Vec<BondRecord>>,
    file: Option<PathBuf>,
}

impl Bonds {
    /// Bonds that end with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Bonds kept in `file`, which need not exist yet.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold bonds.
    pub fn in_file(file: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let (records, rest) = bytes.as_chunks::<{ BondRecord::SIZE }>();
        if !rest.is_empty() {
            return Err(invalid(format!(
                "{} bytes are no whole number of bonds of {} bytes",
                bytes.len(),
                BondRecord::SIZE
            )));
        }
        let records = records.iter().map(BondRecord::from_bytes).collect::<Result<_, _>>();
        let records = records.map_err(|error| invalid(error.to_string()))?;
        Ok(Self { records: RefCell::new(records), file: Some(file.into()) })
    }

    /// How many bonds there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.borrow().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.borrow().is_empty()
    }

    /// The bonds, without the one with `peer`.
    fn others(&self, peer: &Address) -> Vec<BondRecord> {
        self.records.borrow().iter().filter(|known| known.peer != *peer).copied().collect()
    }

    /// Replaces all bonds, in the file first: what could not be stored is not believed.
    fn replace(&self, records: Vec<BondRecord>) -> io::Result<()> {
        if let Some(file) = &self.file {
            let mut unfinished = OsString::from(file);
            unfinished.push(".new");
            let bytes: Vec<u8> = records.iter().flat_map(BondRecord::to_bytes).collect();
            write_secret(Path::new(&unfinished), &bytes)?;
            std::fs::rename(unfinished, file)?;
        }
        self.records.replace(records);
        Ok(())
    }
}

/// Writes a file that only its owner may read, in place of what an earlier run may have left there.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl BondStore for &Bonds {
    type Error = io::Error;

    async fn load(&self, each: &mut dyn FnMut(BondRecord)) -> io::Result<()> {
        self.records.borrow().iter().copied().for_each(each);
        Ok(())
    }

    async fn save(&self, record: &BondRecord) -> io::Result<()> {
        let mut records = self.others(&record.peer);
        records.push(*record);
        self.replace(records)
    }

    async fn remove(&self, peer: &Address) -> io::Result<()> {
        self.replace(self.others(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_ble::Security;
    use otaru_sim_rt::{ClockMode, run};

    fn record(last: u8) -> BondRecord {
        let peer = Address::random_static([0xc0, 0, 0, 0, 0, last]);
        BondRecord { peer, irk: None, ltk: [last; 16], security: Security::Authenticated }
    }

    fn loaded(bonds: &Bonds) -> Vec<BondRecord> {
        let mut all = Vec::new();
        run(ClockMode::Virtual, async { bonds.load(&mut |record| all.push(record)).await.unwrap() });
        all
    }

    #[test]
    fn bonds_outlive_the_process_in_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("flash.bin.bonds");
        let bonds = &Bonds::in_file(&file).unwrap();
        assert!(bonds.is_empty());
        run(ClockMode::Virtual, async {
            bonds.save(&record(1)).await.unwrap();
            bonds.save(&record(2)).await.unwrap();
            bonds.save(&BondRecord { ltk: [9; 16], ..record(1) }).await.unwrap();
        });
        let again = &Bonds::in_file(&file).unwrap();
        assert_eq!(loaded(again), [record(2), BondRecord { ltk: [9; 16], ..record(1) }]);
        run(ClockMode::Virtual, async { again.remove(&record(2).peer).await.unwrap() });
        assert_eq!(loaded(&Bonds::in_file(&file).unwrap()), [BondRecord { ltk: [9; 16], ..record(1) }]);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_keys() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bonds");
        // As earlier versions wrote it, and an unfinished copy of theirs.
        std::fs::write(&file, record(1).to_bytes()).unwrap();
        std::fs::write(dir.path().join("bonds.new"), b"half").unwrap();
        let bonds = &Bonds::in_file(&file).unwrap();
        run(ClockMode::Virtual, async { bonds.save(&record(2)).await.unwrap() });
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(loaded(&Bonds::in_file(&file).unwrap()), [record(1), record(2)]);
    }

    #[test]
    fn what_could_not_be_stored_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let bonds = &Bonds::in_file(&folder.join("bonds")).unwrap();
        run(ClockMode::Virtual, async {
            bonds.save(&record(1)).await.unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
            bonds.save(&record(2)).await.unwrap_err();
            bonds.remove(&record(1).peer).await.unwrap_err();
        });
        assert_eq!(loaded(bonds), [record(1)]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bonds");
        std::fs::write(&file, [0; 41]).unwrap();
        insta::assert_snapshot!(Bonds::in_file(&file).unwrap_err(), @"41 bytes are no whole number of bonds of 40 bytes");
        std::fs::write(&file, [0; 40]).unwrap();
        insta::assert_snapshot!(Bonds::in_file(&file).unwrap_err(), @"not a stored bond: format 0x00 with flags 0x00, expected format 0x01 with flags up to 0x07");
    }
}

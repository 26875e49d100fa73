//! One upload: what is there so far, whose it is, and what becomes of the next piece.

use super::store::ImageStore;
use crate::Failure;
use otaru_smp::image::{UploadRequest, UploadResponse};
use otaru_smp::{ImageError, Rc};

/// Bytes of the largest write unit: what is kept back of a piece that does not end on one.
const MAX_WRITE_UNIT: usize = 32;

/// The upload of a device. Lives in RAM only: after a reboot a client starts again, and finds a finished one by hash.
#[derive(Debug)]
pub(super) struct Upload {
    session: Session,
}

/// A client's name for the file it sends: its SHA-256, the start of it, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sha {
    bytes: [u8; 32],
    len: usize,
}

/// What is known of an upload besides where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) slot: u8,
    pub(super) len: u32,
    pub(super) sha: Sha,
}

#[derive(Debug)]
enum Session {
    /// Nothing is under way.
    Idle,
    Running(Running),
    /// The last upload came to its end. A client that did not hear of it asks again.
    Finished {
        file: File,
        matches: bool,
    },
}

#[derive(Debug)]
struct Running {
    file: File,
    /// The connection that owns it; `None` if anybody may go on.
    owner: Option<u32>,
    /// Bytes accepted: the offset that is wanted next.
    at: u32,
    /// Up to where the slot is erased.
    erased: u32,
    /// Size of the sector that was erased last.
    sector: u32,
    /// Bytes of a write unit.
    unit: usize,
    /// The bytes accepted that do not fill a write unit yet, at its start.
    tail: [u8; MAX_WRITE_UNIT],
}

impl Upload {
    pub(super) const fn new() -> Self {
        Self { session: Session::Idle }
    }

    /// Ends whatever is under way or remembered.
    pub(super) fn forget(&mut self) {
        self.session = Session::Idle;
    }

    /// Lets others go on with an upload that this connection owns.
    pub(super) fn connection_closed(&mut self, connection: u32) {
        if let Session::Running(running) = &mut self.session {
            running.owner = running.owner.filter(|owner| *owner != connection);
        }
    }

    /// Whether the upload under way may be disturbed from `connection`.
    ///
    /// # Errors
    /// `BUSY`, if another connection owns it.
    pub(super) fn check_owner(&self, connection: Option<u32>) -> Result<(), Failure> {
        match &self.session {
            Session::Running(Running { owner: Some(owner), file, at, .. }) if Some(*owner) != connection => {
                let reason = format_args!("another connection is uploading, {at} of {} bytes so far", file.len);
                Err(Failure::new(Rc::BUSY).because(reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether this first piece names the file that is being uploaded.
    pub(super) fn is_of(&self, request: &UploadRequest<'_>) -> bool {
        let named = request.len.zip(Sha::new(request.sha.unwrap_or_default()).ok());
        matches!((&self.session, named), (Session::Running(running), Some((len, sha))) if running.file.is(len, sha))
    }

    /// Goes on with the upload under way if it is of this file; it then belongs to `connection`.
    pub(super) fn resume(&mut self, len: u32, sha: Sha, connection: Option<u32>) -> Option<UploadResponse> {
        match &mut self.session {
            Session::Running(running) if running.file.is(len, sha) => {
                running.owner = connection;
                Some(UploadResponse { offset: running.at, matches: None })
            }
            _ => None,
        }
    }

    /// The answer to a client that did not hear that this file was finished.
    pub(super) fn finished(&self, len: u32, sha: Sha) -> Option<UploadResponse> {
        match self.session {
            Session::Finished { file, matches } if file.is(len, sha) => Some(file.end(matches)),
            _ => None,
        }
    }

    /// Remembers a file that was found whole in its slot.
    pub(super) fn found(&mut self, file: File) -> UploadResponse {
        self.session = Session::Finished { file, matches: true };
        file.end(true)
    }

    /// Begins an upload with its first piece.
    ///
    /// # Interruption
    /// As [`ImageStore::prepare`] and [`ImageStore::write`]; the upload is lost.
    pub(super) async fn begin<S: ImageStore>(
        &mut self,
        store: &mut S,
        file: File,
        owner: Option<u32>,
        data: &[u8],
    ) -> Result<UploadResponse, Failure> {
        self.session = Session::Idle;
        let unit = store.write_unit();
        if !(1..=MAX_WRITE_UNIT).contains(&unit) {
            let reason = format_args!("a write unit of {unit} bytes is not within 1 to {MAX_WRITE_UNIT}");
            return Err(Failure::new(ImageError::FLASH_CONFIG_QUERY_FAIL).because(reason));
        }
        store.prepare(file.slot).await?;
        let running = Running { file, owner, at: 0, erased: 0, sector: 0, unit, tail: [0; MAX_WRITE_UNIT] };
        self.append(store, running, data).await
    }

    /// Takes a piece that is not the first. One that is not wanted next is no error: the answer says what is.
    ///
    /// # Interruption
    /// As [`ImageStore::write`]; the upload is lost.
    pub(super) async fn next<S: ImageStore>(
        &mut self,
        store: &mut S,
        offset: u32,
        data: &[u8],
    ) -> Result<UploadResponse, Failure> {
        match &self.session {
            Session::Running(running) if offset != running.at || data.is_empty() => {
                Ok(UploadResponse { offset: running.at, matches: None })
            }
            Session::Running(_) => match core::mem::replace(&mut self.session, Session::Idle) {
                Session::Running(running) => self.append(store, running, data).await,
                _ => Ok(UploadResponse::default()),
            },
            // A piece of it once more: the answer to the last was lost.
            Session::Finished { file, matches }
                if !data.is_empty() && end_of(offset, data).is_some_and(|end| end <= file.len) =>
            {
                Ok(file.end(*matches))
            }
            Session::Finished { .. } | Session::Idle => Ok(UploadResponse::default()),
        }
    }

    /// Erases the sector after the one that is being written, if that is not done yet. May be dropped at any time: the
    /// upload does not depend on it.
    ///
    /// # Interruption
    /// As [`ImageStore::erase_sector_at`], of a sector that holds nothing of the upload.
    pub(super) async fn erase_ahead<S: ImageStore>(&mut self, store: &mut S) {
        if let Session::Running(running) = &mut self.session {
            let wanted = running.at.saturating_add(running.sector).min(running.file.len);
            if running.erased < wanted && running.erase_next(store).await.is_err() {
                self.session = Session::Idle;
            }
        }
    }

    /// Takes the piece that is wanted. The session is idle meanwhile: what fails or is dropped half done is lost.
    async fn append<S: ImageStore>(
        &mut self,
        store: &mut S,
        mut running: Running,
        data: &[u8],
    ) -> Result<UploadResponse, Failure> {
        let file = running.file;
        let Some(end) = end_of(running.at, data).filter(|end| *end <= file.len) else {
            return Err(overrun(file.len, running.at, data));
        };
        running.write(store, data, end).await?;
        if running.at < file.len {
            let answer = UploadResponse { offset: running.at, matches: None };
            self.session = Session::Running(running);
            return Ok(answer);
        }
        running.flush(store).await?;
        let matches = match file.sha.whole() {
            Some(sha) => store.holds(file.slot, file.len, sha).await?,
            None => false,
        };
        // What does not match is not remembered: its client can only send it again.
        if matches || file.sha.whole().is_none() {
            self.session = Session::Finished { file, matches };
        }
        Ok(file.end(matches))
    }
}

impl Running {
    /// Erases as far as needed and writes all whole units; what is left of `data` is kept in `tail`.
    async fn write<S: ImageStore>(&mut self, store: &mut S, mut data: &[u8], end: u32) -> Result<(), Failure> {
        while self.erased < end {
            self.erase_next(store).await?;
        }
        let unit = self.unit;
        while !data.is_empty() {
            let filled = self.filled();
            if filled == 0 && data.len() >= unit {
                let rest = data.len().checked_rem(unit).unwrap_or_default();
                let (whole, rest) = data.split_at(data.len().saturating_sub(rest));
                store.write(self.file.slot, self.at, whole).await?;
                self.advance(whole);
                data = rest;
            } else {
                let (some, rest) = data.split_at(data.len().min(unit.saturating_sub(filled)));
                for (to, from) in self.tail.iter_mut().skip(filled).zip(some) {
                    *to = *from;
                }
                self.advance(some);
                data = rest;
                if self.filled() == 0 {
                    self.write_tail(store, unit).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes what `tail` holds, filled up to a whole unit.
    async fn flush<S: ImageStore>(&mut self, store: &mut S) -> Result<(), Failure> {
        let filled = self.filled();
        if filled > 0 {
            let blank = store.erased_value();
            self.tail.iter_mut().skip(filled).for_each(|byte| *byte = blank);
            self.write_tail(store, filled).await?;
        }
        Ok(())
    }

    /// Writes the unit in `tail`, of which the last `filled` bytes accepted are part.
    async fn write_tail<S: ImageStore>(&mut self, store: &mut S, filled: usize) -> Result<(), Failure> {
        let start = self.at.saturating_sub(narrow(filled));
        store.write(self.file.slot, start, self.tail.get(..self.unit).unwrap_or_default()).await
    }

    async fn erase_next<S: ImageStore>(&mut self, store: &mut S) -> Result<(), Failure> {
        let start = self.erased;
        let end = store.erase_sector_at(self.file.slot, start).await?;
        self.sector = end.checked_sub(start).filter(|size| *size > 0).ok_or_else(|| {
            Failure::new(ImageError::FLASH_CONFIG_QUERY_FAIL).because(format_args!("no sector at offset {start:#x}"))
        })?;
        self.erased = end;
        Ok(())
    }

    /// Bytes in `tail`.
    fn filled(&self) -> usize {
        usize::try_from(self.at).unwrap_or(usize::MAX).checked_rem(self.unit).unwrap_or_default()
    }

    fn advance(&mut self, data: &[u8]) {
        self.at = self.at.saturating_add(narrow(data.len()));
    }
}

impl File {
    /// Whether a first piece names this file. One without a `sha` names none.
    fn is(&self, len: u32, sha: Sha) -> bool {
        self.len == len && self.sha == sha && sha.len > 0
    }

    const fn end(&self, matches: bool) -> UploadResponse {
        UploadResponse { offset: self.len, matches: Some(matches) }
    }
}

impl Sha {
    /// # Errors
    /// `INVALID_HASH`, if this is longer than a SHA-256.
    pub(super) fn new(sha: &[u8]) -> Result<Self, Failure> {
        let mut bytes = [0; 32];
        let reason = format_args!("a SHA-256 has 32 bytes, {} were given", sha.len());
        let room = bytes.get_mut(..sha.len()).ok_or_else(|| Failure::new(ImageError::INVALID_HASH).because(reason))?;
        room.copy_from_slice(sha);
        Ok(Self { bytes, len: sha.len() })
    }

    /// The hash, if it was given whole.
    pub(super) const fn whole(&self) -> Option<&[u8; 32]> {
        if self.len == 32 { Some(&self.bytes) } else { None }
    }
}

/// A piece that runs beyond the end that was announced.
pub(super) fn overrun(len: u32, offset: u32, data: &[u8]) -> Failure {
    let reason = format_args!("{} bytes at offset {offset} run beyond the announced length of {len}", data.len());
    Failure::new(ImageError::INVALID_IMAGE_DATA_OVERRUN).because(reason)
}

/// Where a piece ends; `None` beyond what 32 bits can say.
fn end_of(offset: u32, data: &[u8]) -> Option<u32> {
    offset.checked_add(u32::try_from(data.len()).ok()?)
}

/// A length that is bounded by a length of 32 bits.
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

//! Adversarial NOR flash, and an explorer that cuts its power everywhere.
//!
//! ```text
//!   device-sim ──▶ NorFlash ◀── explore() ◀── conformance (what boots, what must hold)
//!                     │
//!                     ▼
//!                 otaru_flash::{ReadFlash, Flash}
//! ```
//!
//! [`NorFlash`] is all flash devices of a board, in memory or in a file. It is strict: a write must consist of whole
//! write units and go to erased ones, an erase must name one sector, and everything else is an error that leaves the
//! flash as it was. Power can be cut at any write unit and any erase, leaving any of the named [`Partial`] results.
//!
//! [`explore()`] runs a [`Scenario`] from every flash content that any sequence of power cuts can leave, until no new
//! content turns up.
//!
//! ```
//! use otaru_flash::{DeviceId, Flash, FlashAddr, Geometry, ReadFlash, WriteUnit};
//! use otaru_nor_sim::{Cut, NorError, NorFlash, Partial};
//!
//! let mut flash = NorFlash::erased(&[Geometry::uniform(64, 4, WriteUnit::new(4).unwrap(), 0xff)]);
//! let at = FlashAddr::new(DeviceId(0), 0x40);
//! flash.write(at, &[1, 2, 3, 4]).unwrap();
//! assert!(matches!(flash.write(at, &[0; 4]), Err(NorError::Programmed { .. })));
//!
//! flash.cut_power(Cut { op: 2, leaves: Partial::FirstHalf });
//! assert_eq!(flash.write(at.plus(4).unwrap(), &[5, 6, 7, 8]), Err(NorError::PowerLost));
//! flash.power_on();
//! let mut bytes = [0; 4];
//! flash.read(at.plus(4).unwrap(), &mut bytes).unwrap();
//! assert_eq!(bytes, [5, 6, 0xff, 0xff]);
//! ```
//!
//! It knows nothing of images, slots or trailers: what is right or wrong on flash is for the scenario to say.

mod cells;
mod error;
mod explore;
mod fingerprint;
mod flash;
mod history;
mod partial;
mod search;
mod timing;
mod trace;

pub use cells::Contents;
pub use error::{NorError, OpenError};
pub use explore::{BadState, Limits, PowerUp, Scenario, Summary, Violation, explore, replay};
pub use flash::{Counters, Cut, NorFlash, Policy};
pub use history::{BadHistory, History, Step};
pub use partial::Partial;
pub use timing::Timing;
pub use trace::{Op, OpKind};

//! What people are told.

use crate::{ClientError, Conflict, LinkError, Refusal, Stall, UpgradeError, UploadError};
use otaru_smp::{Body, ImageError, Text, image};

fn told(errors: &[UpgradeError]) -> String {
    errors.iter().map(|error| format!("{error}\n  next: {}\n", error.next_step())).collect()
}

#[test]
fn every_link_error_says_what_and_what_next() {
    let (to, why) = ("udp:localhost:1337".to_owned(), "nothing listens on that port".to_owned());
    let errors = [
        LinkError::Absent { to: to.clone(), why: why.clone() },
        LinkError::Lost { to: to.clone(), why },
        LinkError::Unpaired { to: to.clone(), why: "ATT error 0x05".into() },
        LinkError::PairingFailed { to: to.clone(), why: "the passkey was wrong".into() },
        LinkError::PairingDelayed { to: to.clone(), why: "too soon".into() },
        LinkError::TooWeak { to: to.clone(), why: "it is not encrypted".into() },
        LinkError::TooLong { to, len: 2_000, max: 1_500 },
    ];
    insta::assert_snapshot!(told(&errors.map(|error| UpgradeError::Client(error.into()))), @r"
    udp:localhost:1337 is not there: nothing listens on that port
      next: check that the device runs and that the name given with --to is right
    the link to udp:localhost:1337 is lost: nothing listens on that port
      next: bring the device back and run the command again: an upload goes on from where it was
    udp:localhost:1337 wants a paired link: ATT error 0x05
      next: give the passkey that the device shows with --passkey N, or run on a terminal to be asked for it
    pairing with udp:localhost:1337 failed: the passkey was wrong
      next: compare the passkey with what the device shows; if it was bonded before, forget the bond on both sides
    udp:localhost:1337 does not pair yet: too soon
      next: wait, then run the command again: after each failed attempt a device waits twice as long, up to 10 minutes
    the link to udp:localhost:1337 is not safe enough: it is not encrypted
      next: let the device show a passkey; to take the link as it is, add --allow-unauthenticated, and forget an earlier bond that was worth more
    a frame of 2000 bytes is too long for udp:localhost:1337, which carries 1500
      next: this is a defect of the client, which must not make such frames
    ");
}

#[test]
fn every_client_error_says_what_and_what_next() {
    let what = "list its images";
    let refusal = Refusal { code: ImageError::NO_FREE_SLOT.into(), reason: Text::new() };
    let odd = Refusal { code: ImageError(999).into(), reason: Text::of("because") };
    let why = image::UploadResponse::decode(&[0xa0]).unwrap_err();
    let errors = [
        ClientError::Silent { what, sendings: 3, waited_ms: 5_000 },
        ClientError::Refused { what, refusal },
        ClientError::Refused { what, refusal: odd },
        ClientError::Unreadable { what, why },
        ClientError::TooLong { what, frame: 64 },
        ClientError::FileTooLong { len: 5_000_000_000 },
        ClientError::Stalled(Stall::Silent { ms: 30_000 }),
        ClientError::Upload(UploadError::Refused(refusal)),
        ClientError::Upload(UploadError::Mismatch { len: 100 }),
        ClientError::Upload(UploadError::Misbehaved { offset: 9, len: 8 }),
        ClientError::Upload(UploadError::FrameTooSmall { frame: 20, needed: 92 }),
        ClientError::Upload(UploadError::KeepsForgetting { offset: 7, restarts: 5 }),
        ClientError::Upload(UploadError::NoProgress { offset: 7, links: 5 }),
    ];
    insta::assert_snapshot!(told(&errors.map(UpgradeError::Client)), @r#"
    no answer to the request to list its images, sent 3 times in 5000 ms
      next: check that the device runs and speaks SMP on this link, then run the command again
    asked to list its images, the device answered image group error 9 (NO_FREE_SLOT): the slot is in use
      next: confirm or reset if an image is on trial; reset or erase if one is pending
    asked to list its images, the device answered image group error 999; it says: because
      next: look the code up in the device's own documentation
    the device's answer to the request to list its images cannot be read: the key "off" is missing from the body
      next: check that what answers there is an SMP server
    the request to list its images does not fit a frame of 64 bytes
      next: use a shorter text
    a file of 5000000000 bytes is longer than an image can be
      next: give the signed image, not a whole disk
    the device was silent for 30000 ms
      next: check that the device runs and speaks SMP on this link, then run the command again
    upload: the device answered image group error 9 (NO_FREE_SLOT): the slot is in use
      next: confirm or reset if an image is on trial; reset or erase if one is pending
    upload: the device holds 100 bytes whose SHA-256 is not the file's
      next: upload again; if it stays so the device's flash or memory is failing
    upload: the device asks for byte 9 of a file of 8 bytes
      next: run the command again; if it stays so the device's SMP server is at fault
    upload: frames of 20 bytes cannot carry an upload, whose first packet takes at least 92
      next: give the device larger SMP buffers, or the link a larger MTU
    upload: the device lost the upload 5 times and never got beyond byte 7
      next: look at the device: it seems to restart again and again
    upload: the device took nothing beyond byte 7 over 5 connections
      next: move closer or use another link, then run the command again
    "#);
}

#[test]
fn every_conflict_says_what_and_what_next() {
    let version = || "2.0.0".to_owned();
    let last = Box::new(ClientError::Silent { what: "list its images", sendings: 3, waited_ms: 1_000 });
    let errors = [
        Conflict::NothingRuns { image: 1 }.into(),
        Conflict::OtherOnTrial { version: version() }.into(),
        Conflict::OtherPending { version: version() }.into(),
        Conflict::PendingForGood { version: version() }.into(),
        Conflict::NotListed { image: 0 }.into(),
        Conflict::NotMarked { attempts: 3 }.into(),
        Conflict::NotRestarted { resets: 3, ms: 31_000 }.into(),
        Conflict::NotConfirmed { attempts: 3 }.into(),
        UpgradeError::NotSeen { ms: 180_000, last },
    ];
    insta::assert_snapshot!(told(&errors), @r"
    the device lists no running image number 1
      next: list the images and give the number of one that runs
    the device has version 2.0.0 on trial, neither confirmed nor reverted
      next: keep it with `otaru image confirm`, or go back with `otaru os reset`, then run this command again
    version 2.0.0 is pending on the device, which does not erase it
      next: reset the device so that the swap takes place, then run this command again
    version 2.0.0 is pending for good on the device, which does not erase it: there would be no trial
      next: erase the slot by hand, or reset the device to run the image without a trial
    the device took the whole upload, but lists no such image number 0
      next: check with `otaru inspect` that the file is an image signed for this device
    the device was asked 3 times to test the image and does not list it as pending
      next: look at the device's own log for the reason
    the device was asked 3 times to reset and has not restarted after 31000 ms
      next: restart the device by hand, then run this command again
    the device was asked 3 times to confirm the image and does not list it as confirmed
      next: look at the device's own log for the reason
    the device was not seen again within 180000 ms: no answer to the request to list its images, sent 3 times in 1000 ms
      next: look at the device; once it answers again, run this command again: it goes on from where it was
    ");
}

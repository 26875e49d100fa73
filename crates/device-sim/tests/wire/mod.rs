//! The least client that can talk to a device, on a wire in memory.

use crate::common::{Log, device};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, with_timeout};
use otaru_device_sim::port::{DatagramPort, DatagramWire};
use otaru_device_sim::{Device, Event};
use otaru_nor_sim::Timing;
use otaru_sign::build::SignedImage;
use otaru_sign::key::SigningKey;
use otaru_sim_rt::ClockMode;
use otaru_smp::image::{EraseRequest, SetStateRequest, StateRequest, StateResponse, UploadRequest, UploadResponse};
use otaru_smp::os::{EchoRequest, EchoResponse, ResetRequest};
use otaru_smp::{AnswerError, Message, Request, Version as SmpVersion, read_answer};
use std::cell::Cell;

/// A device that runs `running`, and a client on a wire to it.
pub(crate) fn wired(key: &SigningKey, running: &SignedImage, timing: Timing) -> (Device, Client) {
    let (port, wire) = DatagramPort::in_memory();
    (device(key, Some(running), timing).with_datagrams(port), Client::new(wire))
}

/// Runs `test` beside the device, in virtual time, and not for ever.
pub(crate) fn simulate<T>(device: &Device, log: &Log, test: impl Future<Output = T>) -> T {
    otaru_sim_rt::run(ClockMode::Virtual, async {
        let events = |event: Event| log.take(&event);
        let device = Box::pin(device.run::<T>(&events));
        match select(device, with_timeout(Duration::from_secs(900), test)).await {
            Either::First(never) => never,
            Either::Second(result) => result.expect("the test took longer than 15 minutes of virtual time"),
        }
    })
}

/// An image as a device lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) slot: u32,
    pub(crate) version: String,
    pub(crate) hash: Vec<u8>,
    /// `active confirmed pending permanent`, those that hold.
    pub(crate) flags: String,
}

/// Repeats its requests until they are answered.
pub(crate) struct Client {
    wire: DatagramWire,
    sequence: Cell<u8>,
}

impl Client {
    pub(crate) fn new(wire: DatagramWire) -> Self {
        Self { wire, sequence: Cell::new(0) }
    }

    /// The body of the answer to a request. Repeats it for a minute.
    pub(crate) async fn ask<'a, R: Request<'a>>(&self, request: &R) -> Vec<u8> {
        self.ask_for(request, 60).await.expect("no answer for a minute")
    }

    pub(crate) async fn ask_for<'a, R: Request<'a>>(&self, request: &R, seconds: u64) -> Option<Vec<u8>> {
        let sequence = self.sequence.get();
        self.sequence.set(sequence.wrapping_add(1));
        let mut frame = vec![0; 4096];
        let len = request.message(SmpVersion::V2, sequence, &mut frame).unwrap();
        for _ in 0..seconds {
            self.wire.send(&frame[..len]);
            let answer = async {
                loop {
                    let answer = self.wire.receive().await;
                    let (message, _) = Message::split(&answer).unwrap();
                    if message.header.sequence == sequence {
                        return message.body.to_vec();
                    }
                }
            };
            if let Ok(body) = with_timeout(Duration::from_secs(1), answer).await {
                return Some(body);
            }
        }
        None
    }

    pub(crate) async fn echo(&self, text: &str) -> String {
        let body = self.ask(&EchoRequest { text }).await;
        read_answer::<EchoResponse<'_>>(&body).unwrap().text.to_owned()
    }

    pub(crate) async fn list(&self) -> Vec<Listed> {
        let body = self.ask(&StateRequest).await;
        listed(&body).unwrap()
    }

    /// `slot version flags` of each image, one a line.
    pub(crate) async fn state(&self) -> String {
        let lines = self.list().await;
        lines
            .iter()
            .map(|image| format!("{} {} {}", image.slot, image.version, image.flags).trim_end().to_owned() + "\n")
            .collect()
    }

    pub(crate) async fn set_state(&self, hash: Option<&[u8]>, confirm: bool) -> Result<Vec<Listed>, String> {
        let body = self.ask(&SetStateRequest { hash, confirm }).await;
        listed(&body)
    }

    /// Sends one piece and gives the offset that is wanted next.
    pub(crate) async fn piece(&self, image: &[u8], offset: usize, len: usize) -> Result<usize, String> {
        let data = &image[offset..image.len().min(offset + len)];
        let request = match offset {
            0 => UploadRequest::first(data, u32::try_from(image.len()).unwrap(), None),
            offset => UploadRequest::next(u32::try_from(offset).unwrap(), data),
        };
        let body = self.ask(&request).await;
        let answer: UploadResponse = read_answer(&body).map_err(words)?;
        Ok(usize::try_from(answer.offset).unwrap())
    }

    pub(crate) async fn upload(&self, image: &[u8]) -> Result<(), String> {
        let mut offset = 0;
        while offset < image.len() {
            offset = self.piece(image, offset, 1024).await?;
        }
        Ok(())
    }

    pub(crate) async fn erase(&self) -> Result<(), String> {
        let body = self.ask(&EraseRequest { slot: None }).await;
        read_answer::<otaru_smp::image::EraseResponse>(&body).map(|_| ()).map_err(words)
    }

    /// Asks for a reset and waits until the device answers again.
    pub(crate) async fn reset(&self, log: &Log) {
        let before = log.count("reset");
        self.ask(&ResetRequest::default()).await;
        while log.count("reset") == before {
            embassy_time::Timer::after(Duration::from_millis(10)).await;
        }
        self.echo("up?").await;
    }
}

fn listed(body: &[u8]) -> Result<Vec<Listed>, String> {
    let answer: StateResponse<'_> = read_answer(body).map_err(words)?;
    let listed = answer.images.iter().map(|image| {
        let flags = [
            ("active", image.active),
            ("confirmed", image.confirmed),
            ("pending", image.pending),
            ("permanent", image.permanent),
        ];
        let flags: Vec<_> = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        Listed {
            slot: image.slot,
            version: image.version.into(),
            hash: image.hash.unwrap().to_vec(),
            flags: flags.join(" "),
        }
    });
    Ok(listed.collect())
}

/// The refusal in an answer: its code and its words.
fn words(error: AnswerError<'_>) -> String {
    error.to_string()
}

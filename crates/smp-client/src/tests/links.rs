//! Links against what is at their other ends, in real time where an operating system takes part.

use super::model::{Image, Model};
use crate::link::memory::{MemoryPeer, Quality, pair};
use crate::link::serial::{Console, Line, PortLine};
use crate::link::udp::UdpLink;
use crate::{Client, ClientError, Link, LinkError};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant};
use otaru_sim_rt::{ClockMode, run};
use otaru_smp::{ConsoleDecoder, ConsoleEncoder, Message, write_message};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::UdpSocket;

/// Answers every request with its own body: an echo server for whatever has the same key both ways.
fn mirror(frame: &[u8]) -> Vec<u8> {
    let (message, _) = Message::split(frame).unwrap();
    let mut out = vec![0; frame.len()];
    let body = match message.header.command {
        0 => [&[0xa1, 0x61, b'r'][..], &message.body[3..]].concat(),
        _ => vec![0xa1, 0x62, b'r', b'c', 8],
    };
    out.resize(body.len() + 8, 0);
    write_message(message.header.answer(0), &mut out, |to| {
        to[..body.len()].copy_from_slice(&body);
        Ok(body.len())
    })
    .unwrap();
    out
}

async fn says_hello<L: Link>(link: L) -> Result<String, ClientError> {
    let mut client = Client::new(link);
    client.connect().await?;
    client.echo(&"hello ".repeat(30)).await
}

#[test]
fn udp_server_then_it_answers() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            socket.send_to(&mirror(&buffer[..len]), peer).unwrap();
        }
    });
    assert_eq!(run(ClockMode::Real, says_hello(UdpLink::new(address))).unwrap(), "hello ".repeat(30));
}

#[test]
fn udp_port_is_closed_then_it_is_said_at_once() {
    // Bound and dropped: nobody else has this port in the next moment.
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = run(ClockMode::Real, says_hello(UdpLink::new(address.clone()))).unwrap_err();
    let error = error.to_string().replace(&address, "HOST:PORT");
    insta::assert_snapshot!(error, @"udp:HOST:PORT is not there: nothing listens on that port");
}

#[test]
fn host_name_that_is_none_then_it_is_said() {
    let error = run(ClockMode::Real, says_hello(UdpLink::new("no port at all"))).unwrap_err();
    assert!(matches!(error, ClientError::Link(LinkError::Absent { .. })), "{error:?}");
}

#[test]
fn pseudo_terminal_then_frames_pass_as_lines_among_other_text() {
    let (mut device, port) = serialport::TTYPort::pair().unwrap();
    let path = serialport::SerialPort::name(&port).unwrap();
    // Reads wait for the client, who is not there yet.
    serialport::SerialPort::set_timeout(&mut device, std::time::Duration::from_secs(60)).unwrap();
    std::thread::spawn(move || {
        let mut decoder = ConsoleDecoder::<4096>::new();
        let mut buffer = [0; 512];
        while let Ok(len) = device.read(&mut buffer) {
            let mut rest = &buffer[..len];
            while let Some(frame) = decoder.feed(&mut rest) {
                device.write_all(b"[00:00:01.234] <inf> a line of log\r\n").unwrap();
                let answer = mirror(frame);
                let mut lines = ConsoleEncoder::new(&answer).unwrap();
                let mut line = [0; otaru_smp::LINE_SIZE];
                while let Some(line) = lines.next_line(&mut line) {
                    device.write_all(line).unwrap();
                }
            }
        }
    });
    let answer = run(ClockMode::Real, says_hello(Console::new(PortLine::new(path, 115_200))));
    assert_eq!(answer.unwrap(), "hello ".repeat(30));
    drop(port);
}

#[test]
fn serial_port_that_is_none_then_it_is_said() {
    let error = run(ClockMode::Real, says_hello(Console::new(PortLine::new("/dev/none", 115_200)))).unwrap_err();
    insta::assert_snapshot!(error, @"serial:/dev/none@115200 is not there: No such file or directory");
}

/// A line whose device echoes requests after damaging as many as it is told.
struct BadLine {
    decoder: RefCell<ConsoleDecoder<4096>>,
    answers: Vec<u8>,
    damaged: usize,
}

impl Line for BadLine {
    async fn open(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        if let Some(frame) = self.decoder.get_mut().feed(&mut bytes) {
            let answer = mirror(frame);
            let mut lines = ConsoleEncoder::new(&answer).unwrap();
            let mut buffer = [0; otaru_smp::LINE_SIZE];
            while let Some(line) = lines.next_line(&mut buffer) {
                let mut line = line.to_vec();
                if self.damaged > 0 {
                    self.damaged -= 1;
                    line[5] ^= 1;
                }
                self.answers.extend(line);
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<u8>, LinkError> {
        if self.answers.is_empty() {
            std::future::pending::<()>().await;
        }
        // Byte by byte: frames do not come in one piece.
        Ok(vec![self.answers.remove(0)])
    }
}

#[test]
fn lines_are_damaged_then_the_request_is_repeated() {
    let line = BadLine { decoder: RefCell::new(ConsoleDecoder::new()), answers: vec![], damaged: 2 };
    assert_eq!(run(ClockMode::Virtual, says_hello(Console::new(line))).unwrap(), "hello ".repeat(30));
}

async fn beside<T>(peer: &MemoryPeer, client: impl Future<Output = T>) -> T {
    let image = Image::new(1, 100);
    let mut model = Model::running(image, &[]);
    match select(client, model.run(peer)).await {
        Either::First(result) => result,
        Either::Second(()) => unreachable!("the device runs for ever"),
    }
}

#[test]
fn memory_link_then_it_takes_the_time_it_is_told() {
    let quality = Quality { latency: Duration::from_millis(500), ..Quality::IDEAL };
    let took = run(ClockMode::Virtual, async {
        let (link, peer) = pair(512, quality);
        let mut client = Client::new(link);
        beside(&peer, async {
            client.connect().await.unwrap();
            let began = Instant::now();
            assert_eq!(client.echo("x").await.unwrap(), "x");
            began.elapsed()
        })
        .await
    });
    assert_eq!(took, Duration::from_secs(1));
}

#[test]
fn every_request_then_its_answer_is_read() {
    run(ClockMode::Virtual, async {
        let (link, peer) = pair(512, Quality::IDEAL);
        let mut client = Client::new(link);
        beside(&peer, async {
            client.connect().await.unwrap();
            assert_eq!(client.params().map(|params| params.buf_count), Some(4));
            assert_eq!(client.list().await.unwrap()[0].version, "1.0.0");
            assert_eq!(client.slot_info().await.unwrap()[0].max_image_size, Some(990_000));
            client.erase(None).await.unwrap();
            let unsupported = client.datetime().await.unwrap_err();
            assert!(unsupported.refusal().is_some(), "{unsupported:?}");
            let too_long = client.echo(&"x".repeat(600)).await.unwrap_err();
            assert_eq!(too_long, ClientError::TooLong { what: "echo a text", frame: 512 });
            client.reset(true).await.unwrap();
        })
        .await;
    });
}

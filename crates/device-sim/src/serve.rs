//! The transports of a running application.

use crate::port::{DatagramPort, MAX_DATAGRAM, SerialPort};
use otaru_crypto::TrustedKeys;
use otaru_device_app::{App, Board, FRAME};
use otaru_flash::AsyncFlash;
use otaru_policy::Link;
use otaru_smp::{CONSOLE_OVERHEAD, ConsoleDecoder, ConsoleEncoder, LINE_SIZE};
use std::convert::Infallible;

/// Answers datagrams; never ends.
pub(crate) async fn datagrams<F, K, B>(port: &DatagramPort, app: &App<'_, F, K, B>) -> Infallible
where
    F: AsyncFlash,
    K: TrustedKeys,
    B: Board,
{
    let mut answer = [0; FRAME];
    loop {
        let (peer, datagram) = port.incoming.receive().await;
        let mut requests = &datagram[..datagram.len().min(MAX_DATAGRAM)];
        while let Some(len) = app.handle_next(&Link::udp(), &mut requests, &mut answer).await {
            port.answers.send(peer, &answer[..len]);
            app.answered();
        }
    }
}

/// Answers requests in the console framing; never ends. Other text on the line is ignored.
pub(crate) async fn console<F, K, B>(port: &SerialPort, app: &App<'_, F, K, B>) -> Infallible
where
    F: AsyncFlash,
    K: TrustedKeys,
    B: Board,
{
    let mut decoder = ConsoleDecoder::<{ FRAME + CONSOLE_OVERHEAD }>::new();
    let mut answer = [0; FRAME];
    loop {
        let bytes = port.incoming.receive().await;
        let mut bytes = &bytes[..];
        while let Some(mut requests) = decoder.feed(&mut bytes) {
            while let Some(len) = app.handle_next(&Link::serial(), &mut requests, &mut answer).await {
                send_lines(port, &answer[..len]);
                app.answered();
            }
        }
    }
}

fn send_lines(port: &SerialPort, message: &[u8]) {
    let mut line = [0; LINE_SIZE];
    let mut lines = ConsoleEncoder::new(message);
    while let Some(line) = lines.as_mut().and_then(|lines| lines.next_line(&mut line)) {
        port.output.send(line);
    }
}

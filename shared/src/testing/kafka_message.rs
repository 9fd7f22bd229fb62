//! As much of Kafka's protocol as a proxy needs. A message is its length and itself; where an answer names the broker, the
//! proxy names itself.

use tokio::{io::AsyncReadExt, net::tcp::OwnedReadHalf};

/// A message with its length before it; nothing when the connection is at its end.
pub async fn next_message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(4 + usize::try_from(length).ok()?, 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

/// Wherever the broker at `127.0.0.1:port` is named, it gets the other port.
pub fn name_another_port(message: &mut [u8], port: u16, other: u16) {
    let named = [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let mut at = 0;
    while let Some(found) = message[at..]
        .windows(named.len())
        .position(|window| window == named)
    {
        let end = at + found + named.len();
        message[end - 4..end].copy_from_slice(&u32::from(other).to_be_bytes());
        at = end;
    }
}

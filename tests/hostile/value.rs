//! Values whose length follows from the moment of their load, so that damage shows.

/// The moment of the load, and a text of the length for that moment.
pub type Value = (u64, String);

/// The length of the text for a moment: mostly short, some empty, one in ten thousand the
/// largest.
fn length(moment: u64, largest: usize) -> usize {
    let mut mixed = (moment ^ (moment >> 7)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 32;
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
    let up_to = |most: usize| ((mixed >> 32) as usize) % (most.min(largest) + 1);
    match mixed % 10_000 {
        0 => largest,
        1..10 => up_to(1 << 20),
        10..1000 => up_to(1 << 16),
        1000..4000 => up_to(1 << 12),
        4000..5000 => 0,
        _ => up_to(64),
    }
}

pub fn value(moment: u64, largest: usize) -> Value {
    (moment, "x".repeat(length(moment, largest)))
}

/// Whether a value has the length for its moment.
pub fn is_intact((moment, text): &Value, largest: usize) -> bool {
    text.len() == length(*moment, largest) && text.bytes().next_back().is_none_or(|end| end == b'x')
}

/// Bytes whose first and last byte follow from their number.
pub fn bytes(moment: u64, largest: usize) -> Vec<u8> {
    let length = length(moment, largest);
    vec![check_byte(length); length]
}

pub fn bytes_are_intact(bytes: &[u8]) -> bool {
    let check_byte = check_byte(bytes.len());
    bytes.first().is_none_or(|&first| first == check_byte)
        && bytes.last().is_none_or(|&last| last == check_byte)
}

fn check_byte(length: usize) -> u8 {
    u8::try_from(length % 251).unwrap_or_default()
}

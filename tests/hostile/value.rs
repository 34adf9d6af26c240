//! Values that tell when they were loaded and how long they must be.

/// When it was loaded, and some text.
pub type Value = (u64, String);

/// How long the text of a value of this moment is: mostly short, some empty, one in ten
/// thousand as long as there can be.
fn length(moment: u64, largest: usize) -> usize {
    let mut mixed = (moment ^ (moment >> 7)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 32;
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
    let within = |most: usize| ((mixed >> 32) as usize) % (most.min(largest) + 1);
    match mixed % 10_000 {
        0 => largest,
        1..10 => within(1 << 20),
        10..1000 => within(1 << 16),
        1000..4000 => within(1 << 12),
        4000..5000 => 0,
        _ => within(64),
    }
}

pub fn value(moment: u64, largest: usize) -> Value {
    (moment, "x".repeat(length(moment, largest)))
}

/// Whether it is whole.
pub fn is_whole((moment, text): &Value, largest: usize) -> bool {
    text.len() == length(*moment, largest) && text.bytes().next_back().is_none_or(|end| end == b'x')
}

/// Bytes that tell how many they are.
pub fn bytes(moment: u64, largest: usize) -> Vec<u8> {
    let length = length(moment, largest);
    vec![mark(length); length]
}

pub fn are_whole(bytes: &[u8]) -> bool {
    let mark = mark(bytes.len());
    bytes.first().is_none_or(|&first| first == mark)
        && bytes.last().is_none_or(|&last| last == mark)
}

fn mark(length: usize) -> u8 {
    u8::try_from(length % 251).unwrap_or_default()
}

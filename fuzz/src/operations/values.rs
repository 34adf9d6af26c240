//! Values that contain their id, so that a read identifies the write.

use super::input::Form;
use super::model::Key;

pub(crate) trait Value: Sized {
    fn from_id(id: u32) -> Self;

    fn id(&self) -> u32;
}

impl Value for u32 {
    fn from_id(id: u32) -> Self {
        id
    }

    fn id(&self) -> u32 {
        *self
    }
}

/// Texts have several lengths, for the bound `max_bytes`.
impl Value for String {
    fn from_id(id: u32) -> Self {
        let length = [0, 10, 60, 120][id as usize % 4];
        format!("{id:0length$}")
    }

    fn id(&self) -> u32 {
        self.parse().expect("the text of a number")
    }
}

/// Ten continuation bytes: no encoded number or length is so long.
const ENDLESS: [u8; 10] = [0xff; 10];

/// The stored form of a value.
pub(crate) fn bytes_of(id: u32, form: Form) -> Vec<u8> {
    let encoded = match form {
        Form::Number | Form::Raw => postcard::to_allocvec(&id),
        Form::Text => postcard::to_allocvec(&String::from_id(id)),
        Form::Garbage => return [&ENDLESS[..], &id.to_le_bytes()].concat(),
    };
    encoded.expect("numbers and texts can be encoded")
}

pub(crate) fn key_name(key: Key) -> String {
    // Short names are stored in the entry, long names outside.
    let length = if key.is_multiple_of(3) { 30 } else { 1 };
    format!("{key:0length$}")
}

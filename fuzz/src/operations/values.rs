//! Values that know their number, so that whoever reads one knows which write it is from.

use super::input::Form;
use super::model::Key;

pub(crate) trait Value: Sized {
    fn of(id: u32) -> Self;

    fn id(&self) -> u32;
}

impl Value for u32 {
    fn of(id: u32) -> Self {
        id
    }

    fn id(&self) -> u32 {
        *self
    }
}

/// Texts are of several lengths, for the bound of bytes.
impl Value for String {
    fn of(id: u32) -> Self {
        let length = [0, 10, 60, 120][id as usize % 4];
        format!("{id:0length$}")
    }

    fn id(&self) -> u32 {
        self.parse().expect("the text of a number")
    }
}

/// No number and no length ends in ten bytes that all say that more are to come.
const ENDLESS: [u8; 10] = [0xff; 10];

/// The stored form of a value.
pub(crate) fn bytes_of(id: u32, form: Form) -> Vec<u8> {
    let encoded = match form {
        Form::Number | Form::Raw => postcard::to_allocvec(&id),
        Form::Text => postcard::to_allocvec(&String::of(id)),
        Form::Garbage => return [&ENDLESS[..], &id.to_le_bytes()].concat(),
    };
    encoded.expect("numbers and texts can be encoded")
}

pub(crate) fn key_name(key: Key) -> String {
    // Some lie in the entry, some beside it.
    let length = if key.is_multiple_of(3) { 30 } else { 1 };
    format!("{key:0length$}")
}

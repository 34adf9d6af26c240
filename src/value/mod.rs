//! Values: how they are encoded, which type they are, and the forms in which they are stored.

mod access;
mod buffer;
mod codec;
mod stored;
mod type_tag;

pub(crate) use self::access::{Form, Own, Shared, Unreadable, decode, encode};
pub use self::codec::{Codec, Postcard};
pub(crate) use self::stored::{Encoded, Kept, Read};
pub(crate) use self::type_tag::TypeTag;

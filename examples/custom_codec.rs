//! A codec of one's own: JSON in place of postcard, for types that need a format
//! which describes itself, and for entries that a person can read.
//!
//! `cargo run --example custom_codec`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

use futures_lite::future::block_on;
use hydracache::{BoxError, Bytes, CacheOptions, Codec, HydraCache};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Refuses bytes that are left over, as a codec must: `from_slice` does.
struct Json;

impl Codec for Json {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Which variant it is must be seen from the content: postcard cannot tell.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Price {
    Exact(u32),
    Range { from: u32, to: u32 },
}

fn main() -> Result<(), Box<dyn Error>> {
    block_on(async {
        let options = CacheOptions::new();
        let price = Price::Range { from: 5, to: 9 };

        let postcard = HydraCache::local().build();
        postcard.put("price", &price, options.clone()).await?;
        let Err(error) = postcard.get::<Price>("price").await else {
            return Err("postcard has read an untagged enum".into());
        };
        println!("postcard: {error}");
        assert!(error.is_decode());

        let json = HydraCache::local().codec(Json).build();
        json.put("price", &price, options.clone()).await?;
        assert_eq!(json.get("price").await?, Some(price));
        let stored = json.get_bytes("price").await?.unwrap_or_default();
        println!("json:     {}", String::from_utf8_lossy(&stored));
        assert_eq!(stored, r#"{"from":5,"to":9}"#);

        // Encoded elsewhere, and stored as it came.
        let received = Bytes::from_static(b"12");
        json.put_bytes("exact", received, options).await?;
        let exact = json.get::<Price>("exact").await?;
        println!("received: {exact:?}");
        assert_eq!(exact, Some(Price::Exact(12)));
        Ok(())
    })
}

//! A custom codec: JSON instead of postcard, for types that need a self-describing format and
//! for entries that a person can read.
//!
//! `cargo run --example custom_codec`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use hydracache::{BoxError, Bytes, CacheOptions, Codec, HydraCache};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A codec must reject left-over bytes; `serde_json::from_slice` does.
struct Json;

impl Codec for Json {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// An untagged enum: the format must describe itself, which postcard does not.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Price {
    Exact(u32),
    Range { from: u32, to: u32 },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = CacheOptions::new();
    let price = Price::Range { from: 5, to: 9 };

    let postcard = HydraCache::local().build();
    postcard.put("price", &price, options.clone()).await?;
    let Err(error) = postcard.get::<Price>("price").await else {
        return Err("postcard has decoded an untagged enum".into());
    };
    // The message and the cause: anyhow prints the whole chain.
    println!("postcard: {:#}", anyhow::Error::from(error.clone()));
    assert!(error.is_decode());

    let json = HydraCache::local().codec(Json).build();
    json.put("price", &price, options.clone()).await?;
    assert_eq!(json.get("price").await?, Some(price));
    let stored = json.get_bytes("price").await?.unwrap_or_default();
    println!("json:     {}", String::from_utf8_lossy(&stored));
    assert_eq!(stored, r#"{"from":5,"to":9}"#);

    // `put_bytes` stores bytes that another program has encoded.
    let received = Bytes::from_static(b"12");
    json.put_bytes("exact", received, options).await?;
    let exact = json.get::<Price>("exact").await?;
    println!("received: {exact:?}");
    assert_eq!(exact, Some(Price::Exact(12)));
    Ok(())
}

//! A stand-in for an identity provider, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Issuer of a token that `openssl` signed, and the public key of that.
pub(super) const RSA_ISSUER: &str = "https://issuer.example";
pub(super) const RSA_KEY: &str = "s8i3n1uukDS3qBGH2zIslRgZlE1mkxW9qGehC-doZohpfE6BLGsvbuVb2UmXfXG3A_VwkFHNrOQQmow_2WrhguovCULLYu8Yk7vsSSwyh_WTMaxkMCizLOz4gwJT1A-r8DfCdLm0GV6uSO1DWbQUuKa7aF6fOOMwPPj-2xJAGbuED1QSk35TvLtilPv8YmzTFkU7_Asc9RUgMNlw_qyHT_L7Md9ZeF0FdxKWhzYznFVyerD7pcb_WQUZk-hOwDQt8Tm-EpezG9ED5mbJTzbJGv-z06kbNsT1fvYXGvjjHiISeOagMvQlBQ4O8KhJjFquRZoc4b0KFKm_vMzGpoHjJQ";
pub(super) const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoic2hhcmRmbGlnaHQiLCJzdWIiOiJyaXRhIiwiZXhwIjo0MTAyNDQ0ODAwfQ.IZjoreWixgwFT-dFuMlN3G4EJkcBDhg2mRrFt3XL-EOgG-IFu67dl1JLq890yd9QtwgSdBQzXwuUb8deK61NIPCqrVHjj1fwkPQbs8Bf_YXdGFg4xVf7cFSdCQK1c8Zx1UdRmTXbOsHMa5jSaHC4Qah167Mfz4DdPiX2zpVSsNdAuEPwMN9BNH4BhS_2ZM03puPCUjndihqfFnG6qR6TlW-n8ptjRm_tpgfpXeNdrN9cxQJt1Z6D1FqkOYZrMbOCn5iPknufdbegU2Gj2Ze0jsmVdmNV_hs9yA8Y4uQuMQe1clXrlCOnvFplXfL4StTyxRpjLz0DdAi1oS447W4tHQ";

pub(super) struct Provider {
    pub(super) issuer: String,
    keys: Arc<Mutex<Vec<Value>>>,
    pub(super) fetched: Arc<AtomicUsize>,
    _serving: JoinSet<std::io::Result<()>>,
}

/// A key that the provider signs with.
pub(super) struct Signer {
    pub(super) id: &'static str,
    key: KeyPair,
}

impl Signer {
    pub(super) fn new(id: &'static str) -> Self {
        Self {
            id,
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        }
    }

    pub(super) fn published(&self) -> Value {
        // 4, x, y
        let point = self.key.public_key_raw();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": part(&point[1..33]), "y": part(&point[33..]) })
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (keys, fetched) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string();
        let (published, counted) = (Arc::clone(&keys), Arc::clone(&fetched));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(async move || discovery))
            .route(
                "/keys",
                get(async move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    // One of a kind that nobody knows is no hindrance.
                    let unknown = json!({ "kty": "XX", "kid": "x" });
                    let all: Vec<Value> = published.lock().iter().cloned().chain([unknown]).collect();
                    json!({ "keys": all }).to_string()
                }),
            );
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            issuer,
            keys,
            fetched,
            _serving: serving,
        }
    }

    pub(super) fn publish(&self, key: Value) {
        self.keys.lock().push(key);
    }
}

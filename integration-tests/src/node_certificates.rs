//! Certificates of nodes on this machine.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Signs certificates.
#[derive(Debug)]
pub struct NodeAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
#[derive(Debug)]
pub struct NodeCertificate {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl NodeAuthority {
    /// A new one.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, pem })
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of this machine, good until the first day of a year.
    pub fn sign(&self, until: i32) -> anyhow::Result<NodeCertificate> {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "a node");
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        Ok(NodeCertificate {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl NodeCertificate {
    /// Writes it into a directory; the key `tls` of a node's `cluster` that shows it, and believes an authority.
    pub fn settings(&self, directory: &Path, believed: &NodeAuthority) -> anyhow::Result<String> {
        std::fs::create_dir_all(directory)?;
        for (name, text) in [("cert.pem", &self.cert), ("node.key", &self.key), ("ca.pem", &believed.pem)] {
            std::fs::write(directory.join(name), text)?;
        }
        let directory = directory.display();
        Ok(format!(
            "tls: {{ cert: \"{directory}/cert.pem\", key: \"{directory}/node.key\", ca: \"{directory}/ca.pem\" }}, "
        ))
    }
}

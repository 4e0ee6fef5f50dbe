//! The one provider of cryptography in the process.

/// Makes ring what TLS uses where no provider is named. Libraries bring a second provider into the build, and rustls takes neither by itself then.
pub(crate) fn settle() {
    // the only error is that it was settled before, by this function or by whoever embeds the server
    drop(rustls::crypto::ring::default_provider().install_default());
}

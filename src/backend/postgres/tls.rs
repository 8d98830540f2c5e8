//! TLS as libpq's sslmode asks for it, on rustls: no OpenSSL of the system is needed.

use super::settings::{Settings, SslMode};
use anyhow::{Context, Result, anyhow};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes the connections of these settings secure.
///
/// # Errors
/// Files of certificates or keys that cannot be read, or hold none.
pub fn connector(settings: &Settings) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let (roots, inner) = match settings.ssl_mode {
        SslMode::VerifyCa | SslMode::VerifyFull => {
            let roots = roots(settings.ssl_root_cert.as_deref())?;
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(roots.iter().cloned());
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build();
            (roots, Some(inner.context("no certificate authority to trust")?))
        }
        _ => (Vec::new(), None),
    };
    let verifier = Verifier { mode: settings.ssl_mode, roots, inner, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        // The verifier below checks as much as the mode asks for.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &settings.ssl_client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| anyhow!("cannot read the key {}: {error}", key.display()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                // What `openssl x509 -req` makes without -extfile is of version 1.
                rustls::Error::InvalidCertificate(_) => anyhow!(
                    "the client certificate {} cannot be used (it has to be of X.509 version 3): {error}",
                    certificate.display()
                ),
                _ => anyhow!("the client certificate and its key do not go together: {error}"),
            })?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// The authorities of a file, else those of the system.
fn roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    match file {
        Some(file) => certificates(file),
        None => Ok(rustls_native_certs::load_native_certs().certs),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let found =
        CertificateDer::pem_file_iter(file).map_err(|error| anyhow!("cannot read the certificates {shown}: {error}"))?;
    let found: Vec<_> =
        found.collect::<Result<_, _>>().map_err(|error| anyhow!("cannot read the certificates {shown}: {error}"))?;
    if found.is_empty() { Err(anyhow!("there is no certificate in {shown}")) } else { Ok(found) }
}

/// Checks what the mode asks for, and signatures always.
#[derive(Debug)]
struct Verifier {
    mode: SslMode,
    roots: Vec<CertificateDer<'static>>,
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // A server's own certificate in the file of authorities is trusted, as libpq does: rustls takes no authority for a server.
        if self.roots.iter().any(|root| root.as_ref() == end_entity.as_ref()) {
            if self.mode == SslMode::VerifyFull {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.mode == SslMode::VerifyCa => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a certificate was refused for, in a sentence; `None` when the error is about something else.
pub fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref::<Error>().or_else(|| inner.and_then(|inner| inner.downcast_ref::<Error>()));
        if let Some(tls) = tls {
            return Some(match tls {
                Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    "its certificate is signed by an authority that is not trusted: name the right one with sslrootcert=FILE"
                }
                Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                ) => {
                    "its certificate is made out to another host name: connect by the name in the certificate, or use \
                     sslmode=verify-ca"
                }
                Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                    "its certificate has expired"
                }
                Error::InvalidCertificate(_) => "its certificate is not valid",
                Error::AlertReceived(_) => "it refused our side of the TLS connection: does it want a client certificate?",
                _ => "the TLS connection failed",
            });
        }
        cause = error.source();
    }
    None
}

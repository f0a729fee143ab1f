//! What a connection's bytes go through: nothing, or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::super::tls::{Client, names};
use crate::base::flow::PeerName;

/// A connection over which messages can go.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How every TLS connection begins (RFC 8446 §5.1): with a record of the handshake.
const HANDSHAKE: u8 = 22;

impl Wire {
    /// Shakes hands with who has connected.
    ///
    /// # Errors
    /// It does not speak TLS, which it is not told; or what it shows is not good enough.
    pub(super) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 || first != [HANDSHAKE] {
            let fault = "it does not speak TLS";
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        let accepted = TlsAcceptor::from(config).accept(stream).await?;
        Ok(Self::Tls(Box::new(accepted.into())))
    }

    /// Shakes hands with whom we have connected to.
    ///
    /// # Errors
    /// It does not speak TLS, shows no certificate for the name that the rules say, or
    /// takes none of ours.
    pub(super) async fn connect(stream: TcpStream, client: Client) -> io::Result<Self> {
        let connector = TlsConnector::from(client.config);
        let made = connector.connect(client.name, stream).await?;
        Ok(Self::Tls(Box::new(made.into())))
    }

    /// Whom the peer's certificate is for; nobody, unless one was asked for.
    pub(super) fn names(&self) -> Vec<PeerName> {
        let Self::Tls(stream) = self else {
            return Vec::new();
        };
        let shown = stream.get_ref().1.peer_certificates();
        shown.and_then(|it| it.first()).map_or_else(Vec::new, names)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => match Pin::new(stream).poll_read(context, buffer) {
                // Many close without a word, which loses nothing: a message says itself
                // where it ends.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

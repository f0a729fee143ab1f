//! F5: sockets, source admission, steering and the driver loop.

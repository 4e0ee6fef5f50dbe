//! Protocol tests over real sockets, on a scripted backend.

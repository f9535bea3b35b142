//! Frames, connections, calls, streams, events, the client and the frame router.

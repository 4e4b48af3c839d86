"""What several tests share (servers to talk to, stand-ins for services), and the tests of it."""

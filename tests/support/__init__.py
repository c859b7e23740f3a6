"""What tests share: a scripted server on loopback, certificates, fake time, both colours of the clients."""

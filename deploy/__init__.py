"""What runs backfleet: the embedded stack and its servers, the demo, images and manifests."""

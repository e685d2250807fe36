"""Who belongs to the network, as this node follows it: links, its own key and standing, the version of the protocol."""

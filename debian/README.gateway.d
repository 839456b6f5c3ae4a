Files *.toml here are read after /etc/weir/gateway.toml, in the order of their names, and win over
it. What you put here stays through upgrades, and no upgrade asks about it.
All keys: /usr/share/doc/weir-gateway/examples/gateway.toml

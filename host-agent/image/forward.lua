-- Opens a tunnel (CONNECT) to one of this workspace's own servers: to the client it is open, and what follows goes on.
core.register_action("open_tunnel", { "tcp-req" }, function(txn)
  local _, head = txn.req:data():find("\n\r?\n")
  txn.req:remove(0, head)
  txn.res:send("HTTP/1.1 200 OK\r\n\r\n")
end)

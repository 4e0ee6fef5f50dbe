// Preloaded with `node -r`: kinesis-local binds every interface, and offers no option; a test service belongs on loopback only.
'use strict';

const net = require('node:net');

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...given) {
  if (typeof given[0] === 'object' && given[0] !== null && 'port' in given[0]) {
    given[0] = { ...given[0], host: '127.0.0.1' };
  } else if (typeof given[0] === 'number') {
    const rest = given.slice(1).filter((argument) => typeof argument === 'function');
    given = [{ port: given[0], host: '127.0.0.1' }, ...rest];
  }
  return listen.apply(this, given);
};

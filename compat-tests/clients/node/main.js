// node-zookeeper-client at work: nodes, watches, transactions, auth, and a session over a kill -9 of the server.
// One line per check; the first that fails ends the program with status 1.
'use strict';

const readline = require('node:readline');
const zookeeper = require('node-zookeeper-client');
const { CreateMode, Exception } = zookeeper;

const SESSION_TIMEOUT_MS = 15000;
const WAIT_MS = 20000;

function fail(what) {
  console.log('FAILED ' + what);
  process.exit(1);
}

function check(what, holds) {
  if (!holds) fail(what);
  console.log('ok ' + what);
}

function equal(what, expected, actual) {
  const [a, b] = [JSON.stringify(expected), JSON.stringify(actual)];
  check(a === b ? what : `${what}: expected ${a}, got ${b}`, a === b);
}

/** A request as a promise of its one result, or of an array where the client hands back several. */
function ask(client, method, ...parameters) {
  return new Promise((resolve, reject) => {
    client[method](...parameters, (error, ...results) =>
      error ? reject(error) : resolve(results.length > 1 ? results : results[0]));
  });
}

async function refused(what, code, request) {
  try {
    await request;
  } catch (error) {
    return equal(`${what} is refused`, code, error.getCode());
  }
  fail(`${what}: it succeeded`);
}

function connect(address) {
  return new Promise((resolve) => {
    const client = zookeeper.createClient(address, { sessionTimeout: SESSION_TIMEOUT_MS, spinDelay: 50, retries: 3 });
    client.once('connected', () => resolve(client));
    client.connect();
  });
}

/** One watch: pass `set` as the watcher, await `event` for what it tells. */
function watch() {
  const one = {};
  one.event = new Promise((resolve) => { one.set = (event) => resolve(`${event.getName()} ${event.getPath()}`); });
  return one;
}

async function nodes(client) {
  equal('create', '/node', await ask(client, 'create', '/node'));
  await ask(client, 'create', '/node/p', Buffer.from('one'));
  let [data, stat] = await ask(client, 'getData', '/node/p');
  equal('data and Stat of a new node', ['one', 0, 0, 3], [data.toString(), stat.version, stat.cversion, stat.dataLength]);
  check('its zxids are one', stat.czxid.equals(stat.mzxid) && stat.czxid.equals(stat.pzxid));
  equal('setData raises version', 1, (await ask(client, 'setData', '/node/p', Buffer.from('two'), 0)).version);
  await refused('setData with an old version', Exception.BAD_VERSION, ask(client, 'setData', '/node/p', Buffer.from('x'), 0));
  await refused('create of what is there', Exception.NODE_EXISTS, ask(client, 'create', '/node/p'));
  await refused('create below nothing', Exception.NO_NODE, ask(client, 'create', '/node/none/c'));
  await refused('delete of a parent', Exception.NOT_EMPTY, ask(client, 'remove', '/node', -1));
  equal('sequential', '/node/s-0000000001', await ask(client, 'create', '/node/s-', null, CreateMode.PERSISTENT_SEQUENTIAL));
  await ask(client, 'create', '/node/e', null, CreateMode.EPHEMERAL);
  stat = await ask(client, 'exists', '/node/e');
  check('an ephemeral has our session as its owner', stat.ephemeralOwner.equals(client.getSessionId()));
  await ask(client, 'mkdirp', '/node/a/b/c');
  const [children] = await ask(client, 'getChildren', '/node');
  equal('children', ['a', 'e', 'p', 's-0000000001'], children.sort());
  for (const path of ['/node/a/b/c', '/node/a/b', '/node/a']) await ask(client, 'remove', path, -1);
  equal('removed', null, (await ask(client, 'exists', '/node/a')) ?? null);
}

async function watches(client, writer) {
  const created = watch(), child = watch(), changed = watch(), deleted = watch();
  await ask(client, 'exists', '/node/w', created.set);
  await ask(client, 'getChildren', '/node', child.set);
  await ask(writer, 'create', '/node/w');
  equal('exists watch', 'NODE_CREATED /node/w', await created.event);
  equal('child watch', 'NODE_CHILDREN_CHANGED /node', await child.event);
  await ask(client, 'getData', '/node/w', changed.set);
  await ask(writer, 'setData', '/node/w', Buffer.from('new'), -1);
  equal('data watch', 'NODE_DATA_CHANGED /node/w', await changed.event);
  await ask(client, 'getData', '/node/w', deleted.set);
  await ask(writer, 'remove', '/node/w', -1);
  equal('watch for deletion', 'NODE_DELETED /node/w', await deleted.event);
}

async function transactions(client) {
  const done = client.transaction().create('/node/t', Buffer.from('1')).setData('/node/t', Buffer.from('2'), 0)
    .check('/node/t', 1).create('/node/t/c').remove('/node/t/c', -1);
  const results = await ask(done, 'commit');
  equal('a transaction has a result for each', [5, '/node/t'], [results.length, results[0].path]);
  const failed = client.transaction().create('/node/never').check('/node/t', 7);
  await refused('a transaction with a wrong version', Exception.BAD_VERSION, ask(failed, 'commit'));
  equal('nothing of it was done', null, (await ask(client, 'exists', '/node/never')) ?? null);
}

async function auth(client, address) {
  const bob = await connect(address);
  bob.addAuthInfo('digest', Buffer.from('bob:pw'));
  const mine = [new zookeeper.ACL(zookeeper.Permission.ALL, new zookeeper.Id('auth', ''))];
  await ask(bob, 'create', '/node/bob', Buffer.from('mine'), mine);
  equal('bob reads', 'mine', (await ask(bob, 'getData', '/node/bob'))[0].toString());
  await refused('another', Exception.NO_AUTH, ask(client, 'getData', '/node/bob'));
  bob.close();
}

/**
 * Apache's server, while it starts, may accept a connection, fail inside, and leave it open without an answer; this
 * client has no time limit for the handshake and would wait for ever.
 */
function nudge(client) {
  if (client.getState() !== zookeeper.State.SYNC_CONNECTED) client.connectionManager.socket.destroy();
}

async function restart(client, writer) {
  const session = client.getSessionId().toString('hex');
  const later = watch();
  await ask(client, 'create', '/node/alive', null, CreateMode.EPHEMERAL);
  await ask(client, 'create', '/node/log');
  await ask(client, 'exists', '/node/later', later.set);
  const acknowledged = new Map();
  let stop = false;
  const writing = (async () => {
    for (let i = 0; !stop; i++) {
      const value = `value ${i}`;
      try {
        acknowledged.set(await ask(writer, 'create', '/node/log/n-', Buffer.from(value), CreateMode.PERSISTENT_SEQUENTIAL), value);
      } catch (error) {
        // Unknown: it may or may not be there.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  })();
  while (acknowledged.size < 50) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log('RESTART');
  await new Promise((resolve) => readline.createInterface({ input: process.stdin }).once('line', resolve));
  const nudging = setInterval(() => [client, writer].forEach(nudge), 1000);
  const before = acknowledged.size;
  while (acknowledged.size < before + 50) await new Promise((resolve) => setTimeout(resolve, 10));
  stop = true;
  await writing;
  clearInterval(nudging);
  equal('it is the same session', session, client.getSessionId().toString('hex'));
  const stat = await ask(client, 'exists', '/node/alive');
  check('its ephemeral is there', stat && stat.ephemeralOwner.toString('hex') === session);
  for (const [path, value] of acknowledged) {
    const [data] = await ask(client, 'getData', path);
    if (data.toString() !== value) fail(`acknowledged ${path} = ${value}, found ${data}`);
  }
  check('every acknowledged create is there', true);
  await ask(writer, 'create', '/node/later');
  equal('the watch outlived the restart', 'NODE_CREATED /node/later', await later.event);
}

async function main() {
  const address = process.argv.at(-1);
  const [client, writer] = [await connect(address), await connect(address)];
  await nodes(client);
  await watches(client, writer);
  await transactions(client);
  await auth(client, address);
  await restart(client, writer);
  client.close();
  writer.close();
  console.log('done');
  process.exit(0);
}

setTimeout(() => fail('not done in time'), 5 * WAIT_MS).unref();
main().catch((error) => fail('unexpected ' + error.stack));

// The `node-zookeeper-client` package, all JavaScript: its own tests need no server, these do.
'use strict';

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const zookeeper = require('node-zookeeper-client');

const { ACL, CreateMode, Exception, Id, Permission, State } = zookeeper;
const ADDRESS = process.env.ZOOKEEPER_ADDRESS;
const ROOT = '/pure';
const clients = [];
let zk;

function connect(address = ADDRESS) {
  const client = zookeeper.createClient(address, { sessionTimeout: 10000, spinDelay: 50, retries: 0 });
  clients.push(client);
  return new Promise((resolve) => {
    client.once('connected', () => resolve(client));
    client.connect();
  });
}

/** A request as a promise of its one result, or of an array where the client hands back several. */
function ask(client, method, ...parameters) {
  return new Promise((resolve, reject) => {
    client[method](...parameters, (error, ...results) =>
      (error ? reject(error) : resolve(results.length > 1 ? results : results[0])));
  });
}

function refused(request, code) {
  return assert.rejects(request, (error) => error.getCode() === Exception[code], code);
}

/** A watch: give `set` to the client, await `event` for "TYPE path". */
function watch() {
  const one = {};
  one.event = new Promise((resolve) => { one.set = (event) => resolve(`${event.getName()} ${event.getPath()}`); });
  return one;
}

before(async () => {
  zk = await connect();
  await ask(zk, 'create', ROOT);
});

after(() => clients.forEach((client) => client.close()));

test('a connected client has a session', () => {
  assert.equal(zk.getState(), State.SYNC_CONNECTED);
  assert.equal(zk.getSessionId().length, 8);
  assert.equal(zk.getSessionPassword().length, 16);
  assert.equal(zk.getSessionTimeout(), 10000);
});

test('data, version and length go together', async () => {
  const path = `${ROOT}/data`;
  await ask(zk, 'create', path, Buffer.from('one'));
  const stat = await ask(zk, 'setData', path, Buffer.from('three'), 0);
  assert.deepEqual([stat.version, stat.dataLength, stat.numChildren], [1, 5, 0]);
  assert.equal((await ask(zk, 'getData', path))[0].toString(), 'three');
});

test('what fails says why', async () => {
  const path = `${ROOT}/fails`;
  await ask(zk, 'create', path);
  await ask(zk, 'create', `${path}/e`, null, CreateMode.EPHEMERAL);
  await refused(ask(zk, 'create', path), 'NODE_EXISTS');
  await refused(ask(zk, 'create', `${path}/none/child`), 'NO_NODE');
  await refused(ask(zk, 'create', `${path}/e/child`), 'NO_CHILDREN_FOR_EPHEMERALS');
  await refused(ask(zk, 'setData', path, Buffer.from('x'), 5), 'BAD_VERSION');
  await refused(ask(zk, 'remove', path, -1), 'NOT_EMPTY');
  await refused(ask(zk, 'remove', path, 5), 'BAD_VERSION');
  await refused(ask(zk, 'getChildren', `${path}/none`), 'NO_NODE');
  await refused(ask(zk, 'create', `${path}/acl`, null, [new ACL(Permission.ALL, new Id('nothing', 'x'))]), 'INVALID_ACL');
});

test('sequential names count on', async () => {
  await ask(zk, 'create', `${ROOT}/seq`);
  const made = [];
  for (let i = 0; i < 3; i++) made.push(await ask(zk, 'create', `${ROOT}/seq/n-`, null, CreateMode.EPHEMERAL_SEQUENTIAL));
  assert.deepEqual(made, [0, 1, 2].map((n) => `${ROOT}/seq/n-000000000${n}`));
});

test('an ephemeral goes with its session, and its watch tells', async () => {
  const path = `${ROOT}/ephemeral`;
  const other = await connect();
  await ask(other, 'create', path, null, CreateMode.EPHEMERAL);
  const gone = watch();
  assert.deepEqual((await ask(zk, 'exists', path, gone.set)).ephemeralOwner, other.getSessionId());
  other.close();
  assert.equal(await gone.event, `NODE_DELETED ${path}`);
});

test('watches fire once, for what they were set', async () => {
  const path = `${ROOT}/watched`;
  const [created, child, changed, deleted] = [watch(), watch(), watch(), watch()];
  assert.equal(await ask(zk, 'exists', path, created.set), null);
  await ask(zk, 'create', path);
  assert.equal(await created.event, `NODE_CREATED ${path}`);
  await ask(zk, 'getChildren', path, child.set);
  await ask(zk, 'getData', path, changed.set);
  await ask(zk, 'create', `${path}/child`);
  assert.equal(await child.event, `NODE_CHILDREN_CHANGED ${path}`);
  await ask(zk, 'setData', path, Buffer.from('x'), -1);
  assert.equal(await changed.event, `NODE_DATA_CHANGED ${path}`);
  await ask(zk, 'exists', `${path}/child`, deleted.set);
  await ask(zk, 'remove', `${path}/child`, -1);
  assert.equal(await deleted.event, `NODE_DELETED ${path}/child`);
});

test('a transaction is done whole', async () => {
  const path = `${ROOT}/transaction`;
  const transaction = zk.transaction().create(path, Buffer.from('1')).create(`${path}/c`).setData(path, Buffer.from('22'), 0)
    .check(path, 1).remove(`${path}/c`, 0);
  const results = await ask(transaction, 'commit');
  assert.deepEqual(results.map((result) => result.type), [1, 1, 5, 13, 2]);
  assert.deepEqual([results[0].path, results[2].stat.version, results[2].stat.dataLength], [path, 1, 2]);
});

test('or not at all', async () => {
  const path = `${ROOT}/never`;
  const results = await new Promise((resolve) => {
    zk.transaction().create(path).check(ROOT, 99).remove(ROOT, -1).commit((error, list) => resolve([error.getCode(), list]));
  });
  assert.equal(results[0], Exception.BAD_VERSION);
  assert.deepEqual(results[1].map((result) => result.err), [0, Exception.BAD_VERSION, Exception.RUNTIME_INCONSISTENCY]);
  assert.equal(await ask(zk, 'exists', path), null);
});

test('ACLs of digest, ip and world', async () => {
  const path = `${ROOT}/acl`;
  const bob = await connect();
  bob.addAuthInfo('digest', Buffer.from('bob:secret'));
  await ask(bob, 'create', path, Buffer.from('x'), ACL.CREATOR_ALL_ACL);
  await refused(ask(zk, 'getData', path), 'NO_AUTH');
  const acls = [new ACL(Permission.READ, Id.ANYONE_ID_UNSAFE), new ACL(Permission.ALL, new Id('ip', '127.0.0.1'))];
  assert.equal((await ask(bob, 'setACL', path, acls, 0)).aversion, 1);
  const [back] = await ask(zk, 'getACL', path);
  assert.deepEqual(back.map((acl) => [acl.permission, acl.id.scheme, acl.id.id]), [[1, 'world', 'anyone'], [31, 'ip', '127.0.0.1']]);
  await refused(ask(bob, 'setACL', path, acls, 0), 'BAD_VERSION');
  assert.equal((await ask(zk, 'setData', path, Buffer.from('y'), -1)).version, 1);
});

test('mkdirp, listSubTreeBFS and removeRecursive', async () => {
  await ask(zk, 'mkdirp', `${ROOT}/tree/a`);
  await ask(zk, 'create', `${ROOT}/tree/b`);
  const listed = await ask(zk, 'listSubTreeBFS', `${ROOT}/tree`);
  assert.deepEqual(listed.sort(), ['', '/a', '/b'].map((end) => `${ROOT}/tree${end}`));
  await ask(zk, 'removeRecursive', `${ROOT}/tree`, -1);
  assert.equal(await ask(zk, 'exists', `${ROOT}/tree`), null);
});

test('a client with a chroot sees its part', async () => {
  await ask(zk, 'mkdirp', `${ROOT}/chroot`);
  const inside = await connect(`${ADDRESS}${ROOT}/chroot`);
  const created = watch();
  await ask(inside, 'exists', '/child', created.set);
  assert.equal(await ask(inside, 'create', '/child'), '/child');
  assert.equal(await created.event, 'NODE_CREATED /child');
  assert.notEqual(await ask(zk, 'exists', `${ROOT}/chroot/child`), null);
});

test('a cut connection comes back with its session and its watches', async () => {
  const path = `${ROOT}/cut`;
  const client = await connect();
  const session = client.getSessionId().toString('hex');
  await ask(client, 'create', path, null, CreateMode.EPHEMERAL);
  const changed = watch();
  await ask(client, 'getData', path, changed.set);
  const back = new Promise((resolve) => client.once('connected', resolve));
  client.connectionManager.socket.destroy();
  await ask(zk, 'setData', path, Buffer.from('x'), -1);
  await back;
  assert.equal(client.getSessionId().toString('hex'), session);
  assert.equal(await changed.event, `NODE_DATA_CHANGED ${path}`);
});

test('five hundred requests at once are answered in order', async () => {
  await ask(zk, 'create', `${ROOT}/many`);
  const names = Array.from({ length: 500 }, (_, i) => `${ROOT}/many/${i}`);
  const answered = [];
  await Promise.all(names.map(async (name) => answered.push(await ask(zk, 'create', name))));
  assert.deepEqual(answered, names);
});

// The `zookeeper` package (Apache's C client inside): what its own tests leave out.
'use strict';

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const ZooKeeper = require('zookeeper');

const { constants } = ZooKeeper;
const ADDRESS = process.env.ZOOKEEPER_ADDRESS;
const TIMEOUT_MS = 10000;
const ROOT = '/native';
const clients = [];
let zk;

function connect(options = {}) {
  const client = new ZooKeeper({
    connect: ADDRESS, timeout: TIMEOUT_MS, debug_level: constants.ZOO_LOG_LEVEL_ERROR, host_order_deterministic: false, ...options,
  });
  clients.push(client);
  return new Promise((resolve) => {
    client.once('connect', () => resolve(client));
    client.init({});
  });
}

/** A watch: give `set` to the client, await `event` for [type, path]. */
function watch() {
  const one = {};
  one.event = new Promise((resolve) => { one.set = (type, _state, path) => resolve([type, path]); });
  return one;
}

function rejects(request, message) {
  return assert.rejects(Promise.resolve(request), message);
}

before(async () => {
  zk = await connect();
  await zk.create(ROOT, '', constants.ZOO_PERSISTENT);
});

after(() => clients.forEach((client) => client.close()));

test('a session has an id, a password and the timeout it asked for', () => {
  assert.equal(zk.state, constants.ZOO_CONNECTED_STATE);
  assert.match(zk.client_id, /^[0-9a-f]{1,16}$/);
  assert.equal(zk.client_password.length, 32);
  assert.equal(zk.timeout, TIMEOUT_MS);
});

test('the Stat of a new node, and after set', async () => {
  const path = await zk.create(`${ROOT}/stat`, 'abc', constants.ZOO_PERSISTENT);
  let stat = await zk.exists(path, false);
  assert.deepEqual([stat.version, stat.cversion, stat.aversion, stat.dataLength, stat.numChildren], [0, 0, 0, 3, 0]);
  assert.equal(stat.czxid, stat.mzxid);
  stat = await zk.set(path, 'abcde', 0);
  assert.deepEqual([stat.version, stat.dataLength], [1, 5]);
  assert.notEqual(stat.czxid, stat.mzxid);
});

test('what fails says why', async () => {
  await zk.create(`${ROOT}/fails`, '', constants.ZOO_PERSISTENT);
  await zk.create(`${ROOT}/fails/child`, '', constants.ZOO_PERSISTENT);
  await rejects(zk.create(`${ROOT}/fails`, '', constants.ZOO_PERSISTENT), /-110 node exists/);
  await rejects(zk.create(`${ROOT}/none/child`, '', constants.ZOO_PERSISTENT), /-101 no node/);
  await rejects(zk.set(`${ROOT}/fails`, 'x', 7), /-103 bad version/);
  await rejects(zk.delete_(`${ROOT}/fails`, -1), /-111 not empty/);
  await rejects(zk.get(`${ROOT}/none`, false), /-101 no node/);
  await zk.create(`${ROOT}/fails/e`, '', constants.ZOO_EPHEMERAL);
  await rejects(zk.create(`${ROOT}/fails/e/c`, '', constants.ZOO_PERSISTENT), /-108 no children for ephemerals/);
});

test('sequential names count on', async () => {
  await zk.create(`${ROOT}/seq`, '', constants.ZOO_PERSISTENT);
  const made = [];
  for (let i = 0; i < 3; i++) made.push(await zk.create(`${ROOT}/seq/n-`, '', constants.ZOO_EPHEMERAL_SEQUENTIAL));
  assert.deepEqual(made, [0, 1, 2].map((n) => `${ROOT}/seq/n-000000000${n}`));
});

test('a node with a time to live goes', async () => {
  const path = `${ROOT}/ttl`;
  await zk.create(path, '', constants.ZOO_PERSISTENT_WITH_TTL, 200);
  const gone = watch();
  await zk.w_exists(path, gone.set);
  assert.deepEqual(await gone.event, [constants.ZOO_DELETED_EVENT, path]);
});

test('a container goes after its last child', async () => {
  const path = `${ROOT}/container`;
  await zk.create(path, '', constants.ZOO_CONTAINER);
  await zk.create(`${path}/child`, '', constants.ZOO_PERSISTENT);
  await zk.delete_(`${path}/child`, 0);
  const gone = watch();
  await zk.w_exists(path, gone.set);
  assert.deepEqual(await gone.event, [constants.ZOO_DELETED_EVENT, path]);
});

// Not of a megabyte: with that, the package loses its session to Apache's server.
test('data of 0 bytes, of every byte, and of 60,000', async () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const [name, data] of [['empty', Buffer.alloc(0)], ['every', every], ['large', Buffer.alloc(60000, 7)]]) {
    await zk.create(`${ROOT}/${name}`, data, constants.ZOO_PERSISTENT);
    const [, back] = await zk.get(`${ROOT}/${name}`, false);
    assert.equal(Buffer.compare(Buffer.from(back ?? ''), data), 0, name);
  }
});

test('an exists watch fires for create, set and delete', async () => {
  const path = `${ROOT}/watched`;
  const [created, changed, deleted] = [watch(), watch(), watch()];
  await rejects(zk.w_exists(path, created.set), /no node/);
  await zk.create(path, '', constants.ZOO_PERSISTENT);
  assert.deepEqual(await created.event, [constants.ZOO_CREATED_EVENT, path]);
  await zk.w_exists(path, changed.set);
  await zk.set(path, 'x', -1);
  assert.deepEqual(await changed.event, [constants.ZOO_CHANGED_EVENT, path]);
  await zk.w_get(path, deleted.set);
  await zk.delete_(path, -1);
  assert.deepEqual(await deleted.event, [constants.ZOO_DELETED_EVENT, path]);
});

test('a child watch fires for a child that comes and for one that goes', async () => {
  const path = `${ROOT}/parent`;
  await zk.create(path, '', constants.ZOO_PERSISTENT);
  const [came, went] = [watch(), watch()];
  assert.deepEqual(await zk.w_get_children(path, came.set), []);
  await zk.create(`${path}/child`, '', constants.ZOO_PERSISTENT);
  assert.deepEqual(await came.event, [constants.ZOO_CHILD_EVENT, path]);
  const [children, stat] = await zk.w_get_children2(path, went.set);
  assert.deepEqual([children, stat.numChildren, stat.cversion], [['child'], 1, 1]);
  await zk.delete_(`${path}/child`, -1);
  assert.deepEqual(await went.event, [constants.ZOO_CHILD_EVENT, path]);
});

test('a watch of one client fires for a write of another', async () => {
  const path = await zk.create(`${ROOT}/shared`, '0', constants.ZOO_PERSISTENT);
  const other = await connect();
  const changed = watch();
  await other.w_get(path, changed.set);
  await zk.set(path, '1', 0);
  assert.deepEqual(await changed.event, [constants.ZOO_CHANGED_EVENT, path]);
  await other.sync(path);
  assert.equal((await other.get(path, false))[1].toString(), '1');
});

test('digest credentials open what is theirs, and only that', async () => {
  const bob = await connect();
  await new Promise((resolve, reject) => {
    bob.add_auth('digest', 'bob:secret', (rc, error) => (rc === 0 ? resolve() : reject(new Error(error))));
  });
  const path = await bob.create(`${ROOT}/bob`, 'mine', constants.ZOO_PERSISTENT);
  await bob.set_acl(path, 0, [{ perms: constants.ZOO_PERM_ALL, scheme: 'auth', auth: '' }]);
  const [acl, stat] = await bob.get_acl(path);
  assert.deepEqual([acl.length, acl[0].perms, acl[0].scheme, stat.aversion], [1, constants.ZOO_PERM_ALL, 'digest', 1]);
  assert.match(acl[0].auth, /^bob:/);
  assert.equal((await bob.get(path, false))[1].toString(), 'mine');
  await rejects(zk.get(path, false), /-102 not authenticated/);
  await rejects(zk.set(path, 'x', -1), /-102 not authenticated/);
});

test('an ACL that names an unknown scheme is refused', async () => {
  const path = await zk.create(`${ROOT}/scheme`, '', constants.ZOO_PERSISTENT);
  await rejects(zk.set_acl(path, 0, [{ perms: 31, scheme: 'nothing', auth: 'x' }]), /-114 invalid acl/);
});

test('mkdirp makes what is missing', async () => {
  await new Promise((resolve, reject) => zk.mkdirp(`${ROOT}/a/b/c`, (error) => (error ? reject(error) : resolve())));
  assert.deepEqual(await zk.get_children(`${ROOT}/a/b`, false), ['c']);
});

test('the configuration of a standalone server is empty', async () => {
  const [stat, data] = await zk.getconfig(false);
  assert.deepEqual([stat.version, Buffer.from(data ?? '').length], [0, 0]);
});

test('reconfig without the rights to it is refused', async () => {
  await rejects(zk.reconfig('server.2=127.0.0.1:1:2;3', null, null, -1), /-1\d\d|-8/);
});

test('five hundred requests at once are answered in order', async () => {
  await zk.create(`${ROOT}/many`, '', constants.ZOO_PERSISTENT);
  const names = Array.from({ length: 500 }, (_, i) => `${ROOT}/many/${String(i).padStart(4, '0')}`);
  const answered = [];
  await Promise.all(names.map(async (name) => answered.push(await zk.create(name, 'x', constants.ZOO_PERSISTENT))));
  assert.deepEqual(answered, names);
  assert.equal((await zk.get_children(`${ROOT}/many`, false)).length, 500);
});

test('an ephemeral goes with its session', async () => {
  const other = await connect();
  await other.create(`${ROOT}/ephemeral`, '', constants.ZOO_EPHEMERAL);
  const gone = watch();
  const stat = await zk.w_exists(`${ROOT}/ephemeral`, gone.set);
  assert.equal(stat.ephemeralOwner, other.client_id);
  other.close();
  assert.deepEqual(await gone.event, [constants.ZOO_DELETED_EVENT, `${ROOT}/ephemeral`]);
});

// A real OpenID Connect issuer on a loopback port: node issuer.mjs CONFIG.json
//
// CONFIG.json: {port, modules, keys, storage, seconds, clients}. Keys and opaque tokens are kept in the files "keys" and
// "storage", so that a restart, or a kill, loses none; whoever removes or changes the file of the keys rotates them.
import { webcrypto } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const config = JSON.parse(readFileSync(process.argv[2]));
const issuer = `http://127.0.0.1:${config.port}`;

// Debian 12 has node 18, Ubuntu 24.04 too; oidc-provider 9 needs no more of node 22 than these.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};

const { resolve } = createRequire(`${config.modules}/`);
const load = (name) => import(pathToFileURL(resolve(name)));
const { Provider, errors } = await load('oidc-provider');
const jose = await load('jose');

const write = (path, value) => {
  writeFileSync(`${path}.new`, JSON.stringify(value));
  renameSync(`${path}.new`, path);
};
const read = (path, otherwise) => (existsSync(path) ? JSON.parse(readFileSync(path)) : otherwise);

async function makeKeys() {
  const made = [];
  for (const [alg, options] of [['RS256'], ['ES256'], ['EdDSA', { crv: 'Ed25519' }]]) {
    const { privateKey } = await jose.generateKeyPair(alg, { ...options, extractable: true });
    const key = { ...(await jose.exportJWK(privateKey)), alg, use: 'sig' };
    made.push({ ...key, kid: await jose.calculateJwkThumbprint(key) });
  }
  return made;
}

let stored = read(config.storage, {});

class FileAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    stored[this.key(id)] = payload;
    write(config.storage, stored);
  }

  async find(id) {
    return stored[this.key(id)];
  }

  async consume(id) {
    stored[this.key(id)].consumed = Math.floor(Date.now() / 1000);
    write(config.storage, stored);
  }

  async destroy(id) {
    delete stored[this.key(id)];
    write(config.storage, stored);
  }

  async revokeByGrantId(grantId) {
    stored = Object.fromEntries(Object.entries(stored).filter(([, payload]) => payload.grantId !== grantId));
    write(config.storage, stored);
  }
}

// "urn:api:RS256" gets JWTs that are signed so; any other resource opaque tokens, for which the API asks.
const describeResource = (ctx, resource) => {
  const alg = resource.match(/^urn:api:(RS256|ES256|EdDSA)$/)?.[1];
  return {
    scope: 'read write',
    audience: resource,
    accessTokenTTL: config.seconds,
    ...(alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' }),
  };
};

if (!existsSync(config.keys)) {
  write(config.keys, { keys: await makeKeys() });
}

const provider = new Provider(issuer, {
  adapter: FileAdapter,
  jwks: read(config.keys),
  clients: config.clients.map((client) => ({
    grant_types: ['client_credentials', 'password', 'refresh_token'],
    redirect_uris: [],
    response_types: [],
    ...client,
  })),
  cookies: { keys: ['not a secret: nobody logs in here'] },
  scopes: ['openid', 'offline_access', 'read', 'write'],
  extraTokenClaims: (ctx, token) => (token.accountId ? { username: token.accountId } : {}),
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  ttl: { AccessToken: config.seconds, ClientCredentials: config.seconds, RefreshToken: 3600, Grant: 3600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:api:opaque',
      useGrantedResource: () => true,
      getResourceServerInfo: describeResource,
    },
  },
});

// Tokens of a person, without a browser: no password is asked for.
provider.registerGrantType('password', async (ctx) => {
  const { client, params } = ctx.oidc;
  if (!params.username) {
    throw new errors.InvalidGrant('username is missing');
  }
  const resource = params.resource ?? 'urn:api:opaque';
  const scope = params.scope ?? '';
  const common = { client, accountId: params.username, gty: 'password', expiresWithSession: false, scope };
  const grant = new provider.Grant({ clientId: client.clientId, accountId: params.username });
  grant.addResourceScope(resource, scope);
  common.grantId = await grant.save();
  const access = new provider.AccessToken(common);
  access.resourceServer = new provider.ResourceServer(resource, describeResource(ctx, resource));
  const refresh = new provider.RefreshToken({ ...common, resource });
  ctx.body = {
    access_token: await access.save(),
    refresh_token: await refresh.save(),
    token_type: 'Bearer',
    expires_in: access.expiration,
    scope,
  };
}, ['username', 'scope', 'resource']);

// Each request in the log, so that a test can count them.
provider.use((ctx, next) => {
  console.log(`${ctx.method} ${ctx.path}`);
  return next();
});

provider.listen(config.port, '127.0.0.1');

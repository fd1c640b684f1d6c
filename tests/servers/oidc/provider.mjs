// A certified OpenID provider on a free loopback port: JWT access tokens with groups, signed by RS256 or ES256, key rotation, and outages.
// Run in the folder that holds node_modules. Prints its issuer URL as the first line; ends when standard input closes.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import http from 'node:http';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(resolve('node_modules/oidc-provider/lib/index.js')).href);

const ALGORITHMS = ['RS256', 'ES256'];

function createKey(alg) {
  const pair = alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...pair.privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` };
}

const client = (id) => ({
  client_id: id, client_secret: 's', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
});

const createProvider = (issuer, keys) => new Provider(issuer, {
  jwks: { keys },
  clients: [client('svc-rs'), client('svc-es')],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:extproc',
      getResourceServerInfo: (ctx, resource, { clientId }) => ({
        scope: 'chat', audience: 'extproc', accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: clientId === 'svc-es' ? 'ES256' : 'RS256' } },
      }),
    },
  },
  extraTokenClaims: (ctx, token) => ({ groups: ['ml-team', 'oncall'], sub: `${token.clientId}-user` }),
  ttl: { ClientCredentials: 300 },
}).callback();

let keys = ALGORITHMS.map(createKey);
let answer;
let paused = false;
const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/_rotate') {
    keys = [...ALGORITHMS.map(createKey), ...keys.slice(0, ALGORITHMS.length)]; // the first fitting key signs
    answer = createProvider(issuer, keys);
    response.end(JSON.stringify(keys.map(({ kid }) => kid)));
    return;
  }
  if (request.method === 'POST' && (request.url === '/_pause' || request.url === '/_resume')) {
    paused = request.url === '/_pause';
    response.end();
    return;
  }
  if (paused) {
    request.socket.destroy();
    return;
  }
  answer(request, response);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
answer = createProvider(issuer, keys);
console.log(issuer);
process.stdin.resume().on('end', () => process.exit(0));

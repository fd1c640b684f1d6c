// A certified OpenID provider on a free loopback port: JWT access tokens with groups, signed by RS256 or ES256, key rotation, and outages.
// People log in to the client named by the environment (CONSOLE_URL): the page asks for a name, groups and an e-mail address.
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

const people = new Map();
const consoles = (process.env.CONSOLE_URL ?? '').split(' ').filter(Boolean);
const application = {
  client_id: 'extproc-console', client_secret: 'the secret, of+words%', grant_types: ['authorization_code'], response_types: ['code'],
  redirect_uris: consoles.map((url) => `${url}/oidc/callback`), post_logout_redirect_uris: consoles.map((url) => `${url}/`),
  ...(process.env.CLIENT_AUTH ? { token_endpoint_auth_method: process.env.CLIENT_AUTH } : {}),
};
const publicClient = { ...application, client_id: 'extproc-public', token_endpoint_auth_method: 'none' };
delete publicClient.client_secret;

const createProvider = (issuer, keys) => new Provider(issuer, {
  jwks: { keys },
  clients: [client('svc-rs'), client('svc-es'), ...(consoles.length ? [application, publicClient] : [])],
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: { openid: ['sub', 'auth_time', 'amr'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['a key for tests only'] },
  interactions: { url: (ctx, interaction) => `/_login/${interaction.uid}` },
  findAccount: (ctx, sub) => people.has(sub) && { accountId: sub, claims: () => ({ sub, ...people.get(sub) }) },
  loadExistingGrant: async (ctx) => {
    const known = ctx.oidc.result?.consent?.grantId ?? ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
    if (known) return ctx.oidc.provider.Grant.find(known);
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
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
  ttl: { ClientCredentials: 300, Interaction: 600, Session: 3600, Grant: 3600, IdToken: 300, AccessToken: 300 },
});

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>
<form method="post"><h1>Who are you?</h1><label>Name <input name="name"></label><label>Groups <input name="groups"></label>
<label>E-mail <input name="email"></label><button name="do" value="login">Log in</button><button name="do" value="cancel">Cancel</button></form></html>`;

// The page on which a person says who they are: whoever they say.
async function interact(request, response) {
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html').end(PAGE);
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const name = form.get('name') ?? '';
  if (form.get('do') === 'cancel') {
    await answer.provider.interactionFinished(request, response, { error: 'access_denied', error_description: '<script>no</script>' });
    return;
  }
  people.set(name, {
    name, preferred_username: name, email: form.get('email') || undefined, email_verified: true,
    groups: (form.get('groups') ?? '').split(/[ ,]+/).filter(Boolean),
  });
  await answer.provider.interactionFinished(request, response, { login: { accountId: name, amr: ['pwd', 'mfa'] } });
}

function serve(provider) {
  const callback = provider.callback();
  const answer = (request, response) => (request.url.startsWith('/_login/') ? interact(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  }) : callback(request, response));
  answer.provider = provider;
  return answer;
}

let keys = ALGORITHMS.map(createKey);
let answer;
let paused = false;
const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/_rotate') {
    keys = [...ALGORITHMS.map(createKey), ...keys.slice(0, ALGORITHMS.length)]; // the first fitting key signs
    answer = serve(createProvider(issuer, keys));
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
answer = serve(createProvider(issuer, keys));
console.log(issuer);
process.stdin.resume().on('end', () => process.exit(0));

// A SAML 2.0 identity provider on a free loopback port: Auth0's samlp, which logs everybody in as the user it is told.
// Run in the folder that holds node_modules, with the files of a key and of its certificate (PEM) as arguments.
// Prints its URL as the first line; ends when standard input closes.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve('node_modules/samlp/package.json'));
const samlp = require('samlp');
const { Saml20 } = require('saml');

const FORMAT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
const PASSWORD = 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport';
let [key, cert] = process.argv.slice(2).map((file) => readFileSync(file));
let user = { id: 'anna', name: 'Änna Analyst', groups: ['analysts', 'staff'] };

function Profile(of) {
  return {
    getClaims: () => ({ displayName: of.name, groups: of.groups }),
    getNameIdentifier: () => ({ nameIdentifier: of.id, nameIdentifierFormat: FORMAT }),
  };
}
Profile.prototype.metadata = [];

// The certificate by which requests must be signed, once one is given.
let trusted;

const common = () => ({
  key, cert, issuer: `${url}/metadata`, signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256',
  lifetimeInSeconds: 300, authnContextClassRef: PASSWORD,
});

function login(request, response) {
  request.query = Object.fromEntries(new URL(request.url, url).searchParams);
  const signed = trusted ? { signingCert: trusted, deflate: true } : {};
  samlp.parseRequest(request, { ...signed }, (error, asked) => {
    if (error || (trusted && !request.query.Signature)) {
      response.statusCode = 403;
      response.send('the signature of the request does not hold');
      return;
    }
    const acs = asked.assertionConsumerServiceURL;
    samlp.auth({
      ...common(), profileMapper: Profile, recipient: acs, destination: acs,
      getUserFromRequest: () => user, getPostURL: (audience, dom, _, done) => done(null, acs),
    })(request, response, (failed) => { throw failed; });
  });
}

function assertion(audience, response) {
  response.send(Buffer.from(Saml20.create({
    ...common(), audiences: audience, recipient: audience, nameIdentifier: user.id, nameIdentifierFormat: FORMAT,
    attributes: { displayName: user.name, groups: user.groups },
  })).toString('base64url'));
}

const server = http.createServer((request, response) => {
  response.set = (name, value) => response.setHeader(name, value);
  response.send = (body) => response.end(body);
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname === '/metadata') {
    request.originalUrl = request.url;
    request.protocol = 'http';
    samlp.metadata({ issuer: `${url}/metadata`, cert, profileMapper: Profile, redirectEndpointPath: '/login', postEndpointPath: '/login' })(request, response);
  } else if (pathname === '/login') login(request, response);
  else if (pathname === '/assertion') assertion(searchParams.get('audience'), response);
  else if (pathname === '/_rotate') {
    [key, cert] = ['key', 'cert'].map((name) => readFileSync(searchParams.get(name)));
    response.send('rotated');
  } else if (pathname === '/_trust') {
    trusted = searchParams.get('cert') && String(readFileSync(searchParams.get('cert')));
    response.send('trusted');
  } else if (pathname === '/_user') {
    user = JSON.parse(searchParams.get('user'));
    response.send('changed');
  } else { response.statusCode = 404; response.send(''); }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${server.address().port}`;
console.log(url);
process.stdin.resume().on('end', () => process.exit(0));

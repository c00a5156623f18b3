/**
 * What went wrong on the way to the server, in words for somebody who has to find out at night whether it is the line, a
 * proxy, a certificate, the configuration or the server. The table from errors of sockets, TLS and the HTTP client to ours.
 */
import { DirpostError, isDirpostError, type Retry } from '@dirpost/core';
import { shown } from './addresses.ts';

export interface FailureDetails {
  retry?: Retry;
  hint?: string;
  /** The same request may succeed at once: a cut line, not a refusal. */
  isPassing?: boolean;
  retryAfterS?: number;
  context?: Record<string, unknown>;
  cause?: unknown;
}

export function transportFailed(message: string, details: FailureDetails = {}): DirpostError {
  const { retry = 'later', hint, isPassing = false, retryAfterS, context, cause } = details;
  return new DirpostError('transport-failed', message, {
    retry,
    ...(hint !== undefined && { hint }),
    context: { ...context, isPassing, ...(retryAfterS !== undefined && { retryAfterS }) },
    cause,
  });
}

/** Whether the same is worth another attempt right away. */
export function isPassing(error: unknown): error is DirpostError {
  return isDirpostError(error, 'transport-failed') && error.context['isPassing'] === true;
}

type Row = [explanation: string, details?: Omit<FailureDetails, 'cause'>];

const checkCa = {
  retry: 'operator',
  hint: "If the server's certificate is by a private authority, name its PEM file in transports.http.ca. If not, something reads along on the way.",
} as const;
const checkClock = {
  retry: 'operator',
  hint: 'Look at the clock of this machine and at the certificate of the server.',
} as const;

/** By `code` of the error. */
const table: Record<string, Row> = {
  ENOTFOUND: [
    'its name is not known',
    { hint: 'Look at the name in transports.http.url, and at DNS on this machine.' },
  ],
  EAI_AGAIN: ['DNS does not answer', { hint: 'Most often this machine has no line just now.' }],
  ECONNREFUSED: ['nothing listens there', { hint: 'Is dirpost running at the server, and the port the right one?' }],
  EHOSTUNREACH: ['there is no way to it', { hint: 'Most often this machine has no line just now.' }],
  ENETUNREACH: ['there is no way to it', { hint: 'Most often this machine has no line just now.' }],
  ETIMEDOUT: ['it does not answer', { hint: 'The line is down, or a firewall drops what goes there.' }],
  UND_ERR_CONNECT_TIMEOUT: ['it does not answer', { hint: 'The line is down, or a firewall drops what goes there.' }],
  UND_ERR_HEADERS_TIMEOUT: ['it took too long to answer', { isPassing: true }],
  UND_ERR_BODY_TIMEOUT: ['it stopped in the middle of an answer', { isPassing: true }],
  UND_ERR_SOCKET: ['the connection was cut', { isPassing: true }],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['its answer was cut', { isPassing: true }],
  ECONNRESET: ['the connection was cut', { isPassing: true }],
  EPIPE: ['the connection was cut', { isPassing: true }],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another name',
    {
      retry: 'operator',
      hint: 'Use the name that stands in the certificate in transports.http.url, or renew the certificate.',
    },
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is signed by itself', checkCa],
  SELF_SIGNED_CERT_IN_CHAIN: ['its certificate is by an authority that is not known here', checkCa],
  UNABLE_TO_GET_ISSUER_CERT: ['its certificate is by an authority that is not known here', checkCa],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['its certificate is by an authority that is not known here', checkCa],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['its certificate is by an authority that is not known here', checkCa],
  CERT_SIGNATURE_FAILURE: ['its certificate is by an authority that is not known here', checkCa],
  CERT_HAS_EXPIRED: ['its certificate has expired', checkClock],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', checkClock],
  ERR_SSL_WRONG_VERSION_NUMBER: [
    'what listens there does not speak TLS',
    { retry: 'operator', hint: 'Look at the port in transports.http.url.' },
  ],
  EPROTO: ['what listens there does not speak TLS as this side does', { retry: 'operator', hint: 'Look at the port.' }],
  HPE_INVALID_CONSTANT: [
    'what listens there does not speak HTTP',
    { retry: 'operator', hint: 'Look at the port in transports.http.url, and whether it is http or https.' },
  ],
  UND_ERR_DESTROYED: ['this transport was closed'],
  UND_ERR_CLOSED: ['this transport was closed'],
};

/** Where it went: the server, and the proxy on the way if there is one. */
export interface Way {
  url: URL;
  proxy?: URL | undefined;
  proxyLogin?: string | undefined;
}

/** A request that got no answer, or half of one. */
export function lineFailure(cause: unknown, way: Way): DirpostError {
  if (isDirpostError(cause)) return cause;
  const ours = proxyFailure(cause, way);
  if (ours !== undefined) return ours;
  const code = codeOf(cause);
  const server = shown(way.url);
  const [explanation, details = {}] = table[code ?? ''] ?? [cause instanceof Error ? cause.message : String(cause)];
  const through = way.proxy === undefined ? '' : ` through the proxy ${shown(way.proxy)}`;
  return transportFailed(`${server} could not be reached${through}: ${explanation}.`, {
    ...details,
    context: { url: server, reason: code ?? null },
    cause,
  });
}

function proxyFailure(cause: unknown, { url, proxy, proxyLogin }: Way): DirpostError | undefined {
  const status = /\bProxy (?:response|Authentication Required) \((\d{3})\)/.exec(
    cause instanceof Error ? cause.message : '',
  )?.[1];
  if (status === undefined || proxy === undefined) return undefined;
  const context = { url: shown(url), proxy: shown(proxy), status: Number(status) };
  if (status !== '407') {
    return transportFailed(`The proxy ${shown(proxy)} does not lead to ${shown(url)}: it answered ${status}.`, {
      hint: 'Ask whoever runs the proxy whether it allows CONNECT to that name and port.',
      context,
      cause,
    });
  }
  const login = proxyLogin === undefined ? 'wants a login' : `does not accept the login in ${proxyLogin}`;
  return transportFailed(`The proxy ${shown(proxy)} ${login}.`, {
    retry: 'operator',
    hint: 'Put one line USER:PASSWORD (Basic) into the file that transports.http.proxyLogin names.',
    context,
    cause,
  });
}

/** An answer that no dirpost server gave: its header is missing. */
export function interposed(status: number, contentType: string, { url }: Way): DirpostError {
  const between = `something between here and ${shown(url)}`;
  const context = { url: shown(url), status };
  if (status === 407) {
    const message = `${capital(between)} wants a login (407): a proxy that is not configured here?`;
    const hint = 'Name the proxy in transports.http.proxy, and its login in transports.http.proxyLogin.';
    return transportFailed(message, { retry: 'operator', hint, context });
  }
  if (status >= 502 && status <= 504) {
    const message = `What stands in front of ${shown(url)} answered ${status}: it does not reach dirpost.`;
    return transportFailed(message, { hint: 'Is dirpost running at the server?', context });
  }
  const isPage = contentType.startsWith('text/html');
  const how =
    status >= 300 && status < 400
      ? `answered with a redirect (${status})`
      : isPage && status < 300
        ? 'answered with a web page'
        : `answered ${status}, and not as a dirpost server`;
  return transportFailed(`${capital(between)} ${how}: a proxy or a captive portal?`, {
    hint: `Open ${shown(url)}/healthz in a browser on this machine: it says {"status":"ok"} if the way is free and the address right.`,
    context,
  });
}

/** The server itself said no. `doing`: "post message file …". */
export function refused(status: number, retryAfterS: number | undefined, doing: string, way: Way): DirpostError {
  const server = shown(way.url);
  const context = { url: server, status };
  if (status === 403) {
    // A server tells nobody why: whoever tries out names or secrets must not learn which of them are right.
    const enrolling =
      'The invitation may be used already, replaced by a newer one, or over; or the address is that of another server. Ask at the server for another invitation: dirpost invite';
    return transportFailed(`${server} does not let this postoffice ${doing}.`, {
      hint:
        doing === 'enrol'
          ? enrolling
          : 'There this postoffice is not known (yet), suspended, or has another key; or the server has another name than the one configured here.',
      context,
    });
  }
  if (status === 401) {
    return transportFailed(`${server} did not accept its own nonce when this postoffice wanted to ${doing}.`, {
      hint: 'Do several servers share one address, or does something on the way send requests twice?',
      context,
    });
  }
  if (status === 429 || status === 503) {
    const details = { isPassing: retryAfterS !== undefined && retryAfterS <= MAX_PASSING_S, context };
    const again = retryAfterS === undefined ? 'later' : `in ${retryAfterS} seconds`;
    return transportFailed(`${server} is busy: it will let this postoffice ${doing} ${again}.`, {
      ...details,
      ...(retryAfterS !== undefined && { retryAfterS }),
    });
  }
  if (status === 409) {
    const hint = 'Another incarnation of the server is meant; what it needs is composed again by itself.';
    return transportFailed(`${server} leaves it to another: it did not let this postoffice ${doing}.`, {
      hint,
      context,
    });
  }
  return transportFailed(`${server} answered ${status} when this postoffice wanted to ${doing}.`, {
    hint: 'Are both sides of the same version of dirpost?',
    context,
  });
}

/** A server that says "in a moment" is asked again in the same call. */
export const MAX_PASSING_S = 5;

function codeOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  const { code } = cause as NodeJS.ErrnoException;
  // Of several addresses of one name all failed: the first says why.
  if (cause instanceof AggregateError && code === undefined) return codeOf(cause.errors[0]);
  if (code === undefined || table[code] === undefined) return codeOf(cause.cause) ?? code;
  return code;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

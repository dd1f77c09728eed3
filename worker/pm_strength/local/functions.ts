// Runs the project's edge functions as its runtime does: each index.ts is loaded when it is first called,
// and what it gives to Deno.serve answers. Configured by environment variables.

type Handler = (request: Request) => Response | Promise<Response>;

const env = (name: string): string => {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

const folder = env("FUNCTIONS_FOLDER");
const serve = Deno.serve;
const loaded = new Map<string, Promise<Handler>>();
let loading: Promise<unknown> = Promise.resolve();

/** The handler of a function; null if there is no such function. */
const handlerOf = (name: string): Promise<Handler> | null => {
  const index = `${folder}/${name}/index.ts`;
  if (!/^[a-z][a-z0-9-]*$/.test(name)) return null;
  const known = loaded.get(name);
  if (known) return known;
  try {
    Deno.statSync(index);
  } catch {
    return null;
  }
  // one after the other: while a function is loaded, Deno.serve is its own
  const handler = loading.then(() => load(index));
  loading = handler.catch(() => loaded.delete(name));
  loaded.set(name, handler);
  return handler;
};

const load = async (index: string): Promise<Handler> => {
  let given: Handler | undefined;
  Object.defineProperty(Deno, "serve", { value: (handler: Handler) => void (given = handler), configurable: true });
  await import(`file://${index}`);
  if (given === undefined) throw new Error(`${index} serves nothing`);
  return given;
};

const refuse = (status: number, error: string): Response => Response.json({ error }, { status });

serve({ hostname: "127.0.0.1", port: Number(env("FUNCTIONS_PORT")), onListen: () => {} }, async (request) => {
  const name = new URL(request.url).pathname.split("/")[1] ?? "";
  if (name === "") return Response.json({ status: "ok" });
  try {
    const handler = await handlerOf(name);
    return handler === null ? refuse(404, "There is no such function.") : await handler(request);
  } catch (error) {
    console.error(error);
    return refuse(500, "The function could not be run; see functions.log.");
  }
});

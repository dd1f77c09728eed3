// Runs the edge functions of the project, all of them on one server. On a hosted project, each index.ts is
// a server of its own that serves the handler of the handler.ts beside it; here, that handler.ts is loaded
// when the function is first called. Configured by environment variables.

type Handler = (request: Request) => Promise<Response>;

const env = (name: string): string => {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

const folder = env("FUNCTIONS_FOLDER");

/** The handler of a function; null if there is no such function. */
const handlerOf = async (name: string): Promise<Handler | null> => {
  const path = `${folder}/${name}/handler.ts`;
  if (!/^[a-z][a-z0-9-]*$/.test(name)) return null;
  try {
    await Deno.stat(path);
  } catch {
    return null;
  }
  // loaded once: later imports of the same file give the same module
  return (await import(`file://${path}`)).handler;
};

const refuse = (status: number, error: string): Response => Response.json({ error }, { status });

Deno.serve({ hostname: "127.0.0.1", port: Number(env("FUNCTIONS_PORT")), onListen: () => {} }, async (request) => {
  const name = new URL(request.url).pathname.split("/")[1] ?? "";
  if (name === "") return Response.json({ status: "ok" });
  try {
    const handler = await handlerOf(name);
    return handler === null ? refuse(404, "There is no such function.") : await handler(request);
  } catch (error) {
    console.error(error);
    return refuse(500, "The function failed; functions.log says why.");
  }
});
